/* The glue of a saved page, after the viewer in one module: a stand-in for Panel's model, and what the page's controls do. */

const page = JSON.parse(document.getElementById("ldml-data").textContent);
const floats = (text) => new Float32Array(bytes(text).buffer);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const element = (name) => document.getElementById(`ldml-${name}`);

const watchers = new Map();
const model = new Proxy(
  { theme: "light", selected: -1, picked: -1, status: {}, limits: [-1, 1], lut: bytes(page.lut), frame: {}, values: null, mask: null },
  {
    set(target, key, value) {
      target[key] = value;
      for (const changed of watchers.get(key) ?? []) changed();
      return true;
    },
  },
);
model.on = (keys, changed) => {
  for (const key of [keys].flat()) watchers.set(key, [...(watchers.get(key) ?? []), changed]);
};
element("atoms").append(render({ model, view: {}, el: element("atoms") }));

let current = -1;

function show(index) {
  const structure = page.structures[index];
  if (!structure) return;
  current = index;
  element("structure").value = index;
  element("numbers").innerHTML = structure.numbers;
  for (const option of element("colour").options) option.disabled = !(option.value in structure.values);
  if (element("colour").selectedOptions[0]?.disabled) element("colour").value = Object.keys(structure.values)[0] ?? "";
  const { positions, cell, ghosts, radius, colours } = structure.frame;
  model.frame = {
    positions: floats(positions),
    radius,
    colours: bytes(colours),
    cell: cell && floats(cell),
    ghosts: ghosts && floats(ghosts),
  };
  model.selected = -1;
  filter();
  recolour();
}

function recolour() {
  const coloured = page.structures[current].values[element("colour").value];
  model.limits = coloured?.limits ?? [-1, 1];
  model.values = coloured ? floats(coloured.data) : null;
  element("bar").innerHTML = coloured?.bar ?? "";
  tellAtom();
}

function tellAtom() {
  const { values } = page.structures[current];
  const atom = model.selected;
  const told = () => Object.entries(values).map(([name, { data }]) => `${name} ${floats(data)[atom].toFixed(4)} k_B`).join(", ");
  element("atom").textContent = atom < 0 ? "Tap an atom to read its numbers." : `Atom ${atom}: ${told()}`;
}

function filter() {
  model.mask = element("near").checked ? bytes(page.structures[current].near) : null;
}

model.on("selected", tellAtom);
element("structure").addEventListener("change", (event) => show(Number(event.target.value)));
element("colour").addEventListener("change", recolour);
element("near").addEventListener("change", filter);
document.addEventListener("ldml-show", (event) => show(event.detail));
show(0);
