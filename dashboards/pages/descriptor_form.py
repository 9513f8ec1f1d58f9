"""The form of a descriptor: an input for each parameter it declares, beside it what is wrong with a value.

Parameters that are rarely changed wait under "More parameters"; a descriptor in one line leaves them out, too, as long as
they have their defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import panel as pn
import panel_material_ui as pmui

from dashboards.pages.layout import caption
from dashboards.plain_text import plain
from ldml.descriptors import (
    DESCRIPTORS,
    SEPARATOR,
    Choice,
    Descriptor,
    Flag,
    Number,
    Parameter,
    Species,
    get_descriptor,
)
from ldml.errors import InputError

RARE = ("cutoff_function", "self_weight", "rfac0", "unit", "sigma")
"""Names of parameters that are rarely changed, beside those that joined later."""
MODES = "SoftModes"
"""The descriptor of minima that any other can have beside it."""
_WITH_MODES = f"{SEPARATOR}{MODES}"
_MODES_LABEL = "with soft modes"
_SWITCH = {"size": "small", "margin": (6, 4)}
_MORE, _FEWER = "▸ More parameters", "▾ More parameters"
_WIDE = {"size": "small", "sizing_mode": "stretch_width", "margin": (6, 0)}
_SMALL_CHOICE = {
    "& .MuiSelect-select": {"padding": "8.5px 14px", "minHeight": "23px"},
    "& .MuiInputLabel-root:not(.MuiInputLabel-shrink)": {"transform": "translate(14px, 9px) scale(1)"},
}


class DescriptorForm:
    """Inputs for the parameters a descriptor declares; each descriptor keeps its own.

    Parameters
    ----------
    descriptor : Descriptor
        What the form describes at first.

    Attributes
    ----------
    inputs : dict of str to widget
        Of the descriptor chosen, by the name of the parameter.

    Examples
    --------
    >>> form = DescriptorForm(get_descriptor("AFS"))
    >>> form.descriptor()
    AFS(n_max=20, l_max=10, cutoff=5.0, cutoff_function='cosine', pairs='all', species=())
    """

    def __init__(self, descriptor: Descriptor):
        self._elements: tuple[str, ...] = ()
        self._potential, self._length = "", "Å"
        self._forms: dict[str, dict[str, _Field]] = {}
        self._listeners: list[Callable[[], None]] = []
        base = descriptor.name.removesuffix(_WITH_MODES)
        options = [name for name in DESCRIPTORS if not name.endswith(_WITH_MODES)]
        self._kind = pmui.Select(label="Descriptor", options=options, value=base, **_WIDE)
        self._modes = pmui.Switch(value=descriptor.name.endswith(_WITH_MODES), label=_MODES_LABEL, **_SWITCH)
        self._meaning = caption("")
        self._fields = pn.Column(sizing_mode="stretch_width", margin=0)
        self._rare = pn.Column(sizing_mode="stretch_width", margin=(4, 0, 0, 0), visible=False)
        self._more = pmui.Button(label=_MORE, variant="text", size="small", margin=0)
        self._more.on_click(lambda event: self._unfold())
        self._show(descriptor.parameters)
        self._kind.param.watch(lambda event: self._show({}), "value")
        self._modes.param.watch(lambda event: self._show({}), "value")

    def view(self) -> pn.Column:
        """The form."""
        parts = (self._kind, self._modes, self._meaning, self._fields, self._more, self._rare)
        return pn.Column(*parts, sizing_mode="stretch_width", margin=0)

    @property
    def inputs(self) -> dict[str, Any]:
        """Widget of each parameter of the descriptor chosen."""
        return {name: field.widget for name, field in self._chosen_fields().items()}

    def choose(self, name: str) -> None:
        """Turn to another descriptor."""
        self._kind.value = name.removesuffix(_WITH_MODES)
        self._modes.value = name.endswith(_WITH_MODES)

    def fill(self, descriptor: Descriptor) -> None:
        """Describe a descriptor; one that the form does not offer leaves it as it is."""
        if descriptor.name.removesuffix(_WITH_MODES) not in self._kind.options:
            return
        self.choose(descriptor.name)
        fields = self._chosen_fields()
        for name, value in descriptor.parameters.items():
            fields[name].enter(value)

    def descriptor(self) -> Descriptor:
        """The descriptor the form describes.

        Raises
        ------
        InputError
            If a field is empty or a value is not allowed.
        """
        values = {name: field.value() for name, field in self._chosen_fields().items()}
        return get_descriptor(SEPARATOR.join(self._chosen_kinds()), **values)

    def offer_elements(self, elements: Sequence[str]) -> None:
        """The elements that species can be chosen from; others that were chosen are no longer."""
        self._elements = tuple(elements)
        for fields in self._forms.values():
            for field in fields.values():
                field.offer_elements(self._elements)

    def offer_potential(self, name: str) -> None:
        """Turn descriptors of minima to the potential that the structures are minima of."""
        self._potential = name
        for fields in self._forms.values():
            for field in fields.values():
                field.offer_potential(name)

    def offer_length(self, unit: str) -> None:
        """Say that the lengths of the structures are in `unit`."""
        self._length = unit
        for fields in self._forms.values():
            for field in fields.values():
                field.offer_length(unit)

    def offer_modes(self, obstacle: str) -> None:
        """Let soft modes stand beside the descriptor, unless there is an obstacle, which is told."""
        self._modes.param.update(
            disabled=bool(obstacle),
            value=self._modes.value and not obstacle,
            label=f"{_MODES_LABEL} ({obstacle})" if obstacle else _MODES_LABEL,
        )

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the form describes something else."""
        self._listeners.append(listener)

    def _chosen_kinds(self):
        """Names of the descriptors chosen to stand side by side."""
        base = self._kind.value
        return (base, MODES) if self._modes.value and base != MODES else (base,)

    def _chosen_fields(self):
        return {name: field for kind in self._chosen_kinds() for name, field in self._forms[kind].items()}

    def _show(self, values):
        """Bring in the inputs of the descriptor chosen, made when it is chosen for the first time."""
        kinds = [DESCRIPTORS[name] for name in self._chosen_kinds()]
        for kind in kinds:
            if kind.name not in self._forms:
                self._forms[kind.name] = {
                    p.name: _Field(p, values.get(p.name, p.default), self._elements, self._changed)
                    for p in kind.declared_parameters
                }
                self.offer_potential(self._potential)
                self.offer_length(self._length)
        fields = self._chosen_fields().values()
        self._modes.visible = self._kind.value != MODES
        self._meaning.object = " ".join(map(_meaning, kinds))
        self._fields.objects = [field.widget for field in fields if not is_rare(field.parameter)]
        self._rare.objects = [field.widget for field in fields if is_rare(field.parameter)]
        self._more.visible = bool(self._rare.objects)
        self._changed()

    def _unfold(self):
        self._rare.visible = not self._rare.visible
        self._more.label = _FEWER if self._rare.visible else _MORE

    def _changed(self):
        for listener in self._listeners:
            listener()


class _Field:
    """Input for one parameter."""

    def __init__(self, parameter: Parameter, value, elements, on_change):
        self.parameter = parameter
        self._on_change = on_change
        self.widget = _widget(parameter, value)
        self.offer_elements(elements)
        self.widget.param.watch(lambda event: self._changed(), "value")

    def value(self):
        """What the input says, checked.

        Raises
        ------
        InputError
            If it is empty or not allowed.
        """
        entered = self.widget.value
        if entered is None:
            raise InputError(f"{self.parameter.name} is empty; enter a number {self.parameter.allowed()}")
        if isinstance(self.widget, pmui.TextInput):
            return self.parameter.from_text(entered)
        return self.parameter.checked(entered)

    def enter(self, value):
        """Put a value into the input."""
        if isinstance(self.widget, pmui.TextInput):
            value = self.parameter.to_text(value)
        self.widget.value = list(value) if isinstance(self.parameter, Species) else value

    def offer_elements(self, elements):
        """Let a parameter for species choose from `elements`."""
        if isinstance(self.parameter, Species):
            several = len(elements) > 1
            self.widget.param.update(
                options=list(elements),
                value=[symbol for symbol in self.widget.value if several and symbol in elements],
                disabled=not several,
                label="species" if several else f"species (all are {elements[0]})" if elements else "species",
            )

    def offer_length(self, unit):
        """Name a length in the label with this unit."""
        if self.parameter.unit == "Å":
            self.widget.label = f"{self.parameter.name} ({unit})"

    def offer_potential(self, name):
        """Choose a potential, if this is the field for it and knows it."""
        if self.parameter.name == "potential" and name in self.parameter.choices:
            self.widget.value = name

    def _changed(self):
        problem = ""
        try:
            self.value()
        except InputError as error:
            problem = str(error)
        if hasattr(self.widget, "error_state"):
            self.widget.param.update(error_state=bool(problem), helper_text=problem)
        self._on_change()


def _meaning(kind: type[Descriptor]) -> str:
    """First paragraph of what a descriptor says of itself."""
    return plain(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " "))


def is_rare(parameter: Parameter) -> bool:
    """Whether few readers will want to change a parameter."""
    return parameter.joined_later or parameter.name in RARE


def describe_descriptor(descriptor: Descriptor, *, length: str = "Å") -> str:
    """Name and parameters in one line: "AFS, n_max = 20, l_max = 10, cutoff = 5 Å"; rare ones unless they have their defaults.

    Lengths have the unit `length`, that of the structures described.
    """
    values = descriptor.parameters
    told = [p for p in descriptor.declared_parameters if not (is_rare(p) and values[p.name] == p.default)]
    return ", ".join([descriptor.name, *(f"{p.name} = {_short_text(p, values[p.name], length)}" for p in told)])


def _short_text(parameter, value, length):
    text = f"{value:g}" if isinstance(value, float) else parameter.to_text(value)
    unit = length if parameter.unit == "Å" else parameter.unit
    return f"{text} {unit}" if unit else text


def _widget(parameter: Parameter, value):
    """The input that suits the kind of a parameter; text for a kind that is not known here."""
    unit = f" ({parameter.unit})" if parameter.unit else ""
    options = {
        "label": f"{parameter.name}{unit}",
        "description": f"{parameter.symbol}: {parameter.doc} Allowed: {parameter.allowed()}.",
        **_WIDE,
    }
    if isinstance(parameter, Number):
        kind = pmui.IntInput if parameter.is_whole else pmui.FloatInput
        return kind(value=value, step=_step(parameter), **options)
    if isinstance(parameter, Choice):
        return pmui.Select(options=list(parameter.choices), value=value, **options)
    if isinstance(parameter, Flag):
        return pmui.Switch(value=value, **{**options, **_SWITCH})
    if isinstance(parameter, Species):
        del options["size"]  # of this one, the number of lines
        return pmui.MultiChoice(options=list(value), value=list(value), sx=_SMALL_CHOICE, **options)
    return pmui.TextInput(value=parameter.to_text(value), **options)


def _step(parameter: Number):
    """What one press of an arrow adds."""
    if parameter.is_whole:
        return int(parameter.multiple_of or 1)
    low, high = parameter.bounds
    return parameter.multiple_of or (0.1 if high - low > 1.0 and abs(parameter.default) >= 1.0 else 0.01)
