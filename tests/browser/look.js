// Looks at a page and says what is wrong with it, one line a problem. Each function is one check, by its name.

const text = (node) => (node.textContent || "").replace(/\s+/g, " ").trim().slice(0, 60);
const name = (node) => {
  const cls = node.getAttribute && node.getAttribute("class");
  return `<${node.nodeName.toLowerCase()}${node.id ? "#" + node.id : ""}${cls ? "." + cls.trim().split(/\s+/).join(".") : ""}>`;
};
const box = (node) => node.getBoundingClientRect();
const isShown = (node) =>
  node.checkVisibility({ contentVisibilityAuto: true, opacityProperty: true, visibilityProperty: true });
const opened = () => document.querySelectorAll("details").forEach((one) => (one.open = true));

// --- pictures

const SHAPES = "path, rect, circle, ellipse, line, polygon, polyline, image";
const isPainted = (shape) => {
  const style = getComputedStyle(shape);
  const size = box(shape);
  const filled = style.fill !== "none" && style.fillOpacity > 0 && !/, 0\)$/.test(style.fill);
  const drawn = style.stroke !== "none" && style.strokeOpacity > 0 && parseFloat(style.strokeWidth) > 0;
  if (style.opacity == 0 || !(size.width > 0 || size.height > 0)) return false;
  return (drawn && (size.width > 0 || size.height > 0)) || (filled && size.width > 0 && size.height > 0);
};
const isInside = (shape, svg) => {
  const [a, b] = [box(shape), box(svg)];
  return a.right >= b.left - 2 && a.left <= b.right + 2 && a.bottom >= b.top - 2 && a.top <= b.bottom + 2;
};
const looksEmpty = (svg) => {
  const size = box(svg);
  if (size.width < 4 || size.height < 4) return `is ${size.width} by ${size.height} pixels`;
  const shapes = [...svg.querySelectorAll(SHAPES)].filter((s) => !s.closest("defs, clipPath, mask, pattern, marker"));
  const drawn = shapes.filter((s) => isPainted(s) && isInside(s, svg));
  const whole = size.width * size.height;
  const marks = drawn.filter((s) => box(s).width * box(s).height < 0.95 * whole); // a ground is no mark
  const needed = svg.closest("figure") ? 2 : 1;
  return marks.length < needed ? `has ${marks.length} marks` : "";
};
function pictures() {
  opened();
  const found = [];
  for (const figure of document.querySelectorAll("figure"))
    if (!figure.querySelector("svg, img")) found.push(`figure without a picture: ${text(figure)}`);
  for (const svg of document.querySelectorAll("svg")) {
    const problem = looksEmpty(svg);
    if (problem) found.push(`picture ${name(svg)} of "${text(svg.querySelector("title") || svg)}" ${problem}`);
  }
  for (const image of document.images)
    if (!image.complete || !image.naturalWidth) found.push(`image ${image.src} was not loaded`);
  return found;
}

// Words of a picture that stand outside of it, or on one another.
function chartWords() {
  opened();
  const found = [];
  for (const svg of document.querySelectorAll("figure svg")) {
    const words = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim() && box(t).width > 0);
    const frame = svg.closest(".scroll") ? null : { left: 0, right: document.documentElement.clientWidth };
    for (const one of words) {
      const a = box(one);
      if (frame && (a.left < frame.left - 1 || a.right > frame.right + 1))
        found.push(`"${text(one)}" is cut off at the side of the page`);
    }
    words.forEach((one, k) => {
      for (const other of words.slice(k + 1)) {
        const [a, b] = [box(one), box(other)];
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        const share = (wide * high) / Math.min(a.width * a.height, b.width * b.height);
        if (wide > 2 && high > 2 && share > 0.3) found.push(`"${text(one)}" stands on "${text(other)}"`);
      }
    });
  }
  return found;
}

// --- words for those who do not see, and order for all

const accessible = (node) => {
  const by = (node.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
  const said = by.map((id) => document.getElementById(id)?.textContent || "").join(" ").trim();
  const own = [...node.children].find((child) => child.nodeName.toLowerCase() === "title");
  return said || node.getAttribute("aria-label")?.trim() || own?.textContent.trim() || "";
};
function structure() {
  opened();
  const found = [];
  if (!document.documentElement.lang) found.push("the page does not say its language");
  if (!document.title.trim()) found.push("the page has no title");
  if (document.querySelectorAll("h1").length !== 1) found.push(`${document.querySelectorAll("h1").length} h1`);
  if (document.querySelectorAll("main").length !== 1) found.push(`${document.querySelectorAll("main").length} main`);
  let last = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const level = +heading.nodeName[1];
    if (level > last + 1) found.push(`h${level} "${text(heading)}" follows h${last}`);
    if (!text(heading)) found.push(`empty h${level}`);
    last = level;
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((id, k) => ids.indexOf(id) !== k))) found.push(`id ${id} stands twice`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "for"])
    for (const node of document.querySelectorAll(`[${attribute}]`))
      for (const id of node.getAttribute(attribute).split(/\s+/).filter(Boolean))
        if (!document.getElementById(id)) found.push(`${attribute} of ${name(node)} points at ${id}, which is not there`);
  return found;
}
function alternatives() {
  opened();
  const found = [];
  for (const image of document.images) if (!image.hasAttribute("alt")) found.push(`image ${image.src} without alt`);
  for (const svg of document.querySelectorAll("svg")) {
    if (svg.closest("[aria-hidden=true]")) continue;
    if (!svg.matches("[role=img], [role=graphics-document], [role=group]")) found.push(`${name(svg)} has no role`);
    if (!accessible(svg)) found.push(`${name(svg)} has no title`);
  }
  for (const link of document.querySelectorAll("a[href]"))
    if (!text(link) && !accessible(link)) found.push(`a link to ${link.getAttribute("href")} without words`);
  for (const field of document.querySelectorAll("input, select, textarea, button"))
    if (field.type !== "hidden" && !field.labels?.length && !accessible(field) && !text(field))
      found.push(`field ${field.name || name(field)} without a label`);
  return found;
}
function tables() {
  opened();
  const found = [];
  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.querySelectorAll("th")];
    if (!heads.length) found.push(`table without headers: ${text(table)}`);
    for (const head of heads) if (!head.scope) found.push(`header "${text(head)}" has no scope`);
    if (!table.caption && !table.closest("[aria-label], [aria-labelledby]"))
      found.push(`table without a name: ${text(table)}`);
  }
  return found;
}

// --- room

function sideways() {
  opened();
  const found = [];
  const width = document.documentElement.clientWidth;
  const over = document.scrollingElement.scrollWidth - width;
  if (over > 1) found.push(`the page is ${over} pixels wider than the window`);
  for (const node of document.querySelectorAll("body *")) {
    if (!isShown(node) || node.closest(".scroll, [aria-hidden=true], .skip")) continue;
    if (node.closest("svg") && node.nodeName.toLowerCase() !== "svg") continue;
    const right = box(node).right;
    if (right > width + 1 && box(node).width > 0) found.push(`${name(node)} "${text(node)}" ends at ${Math.round(right)}`);
  }
  return found.slice(0, 10);
}
// On paper nothing scrolls, so what does not fit is lost.
function cutOff() {
  const found = sideways();
  for (const node of document.querySelectorAll("body *")) {
    const style = getComputedStyle(node);
    if (node.closest("svg") || style.overflowX === "visible" || !isShown(node)) continue;
    if (node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0)
      found.push(`${name(node)} "${text(node)}" loses ${node.scrollWidth - node.clientWidth} pixels`);
  }
  for (const node of document.querySelectorAll(".scroll *"))
    if (isShown(node) && box(node).right > document.documentElement.clientWidth + 2 && !node.closest("svg"))
      found.push(`${name(node)} "${text(node)}" ends at ${Math.round(box(node).right)}`);
  return found.slice(0, 10);
}

// --- colours

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, ground) => [0, 1, 2].map((k) => top[k] * top[3] + ground[k] * (1 - top[3])).concat(1);
const luminance = (colour) => {
  const [r, g, b] = colour.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};
const groundOf = (element) => {
  const layers = [];
  for (let node = element; node; node = node.parentElement) {
    const colour = rgba(getComputedStyle(node).backgroundColor);
    if (colour[3] > 0) layers.unshift(colour);
  }
  return layers.reduce((ground, layer) => over(layer, ground), rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff"));
};
const paintOf = (node, kind) => {
  const style = getComputedStyle(node);
  if (style[kind] === "none") return [0, 0, 0, 0];
  const colour = rgba(style[kind]);
  return [...colour.slice(0, 3), colour[3] * style[`${kind}Opacity`] * style.opacity];
};
// What lies under a text in a picture, at five places; a halo of its own hides it.
const groundsInPicture = (word) => {
  const svg = word.ownerSVGElement;
  const style = getComputedStyle(word);
  if (style.paintOrder.startsWith("stroke") && parseFloat(style.strokeWidth) >= 2) return [over(paintOf(word, "stroke"), groundOf(svg.parentElement))];
  window.scrollTo(0, box(word).top + window.scrollY - window.innerHeight / 2);
  const place = box(word);
  return [0.1, 0.3, 0.5, 0.7, 0.9].map((part) => {
    const stack = document.elementsFromPoint(place.left + part * place.width, place.top + place.height / 2);
    const under = stack.slice(stack.indexOf(word) + 1).filter((node) => svg.contains(node) && node.matches(SHAPES));
    return under.reverse().reduce((ground, shape) => over(paintOf(shape, "fill"), ground), groundOf(svg.parentElement));
  });
};
function colours() {
  opened();
  const sheet = new CSSStyleSheet(); // so that all that is painted is found, whatever the picture says of pointers
  sheet.replaceSync("svg, svg * { pointer-events: visiblePainted !important; } html { scroll-behavior: auto !important; }");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  const found = new Map();
  const note = (words, ink, ground, least) => {
    const ratio = contrast(over(ink, ground), ground);
    if (ratio < least - 0.005) {
      const key = `${ink} on ${ground.map(Math.round)}`;
      if (!found.has(key)) found.set(key, `${ratio.toFixed(2)} instead of ${least}: "${words}" (${key})`);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || element.closest("svg, style, script, noscript, .skip") || !isShown(element)) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    note(words.slice(0, 40), rgba(style.color), groundOf(element), least);
  }
  for (const word of document.querySelectorAll("svg text")) {
    const words = word.textContent.trim();
    if (!words || !isShown(word) || !box(word).width) continue;
    for (const ground of groundsInPicture(word)) note(words.slice(0, 40), paintOf(word, "fill"), ground, 4.5);
  }
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
  return [...found.values()];
}

// --- links

function links() {
  opened();
  const all = [...document.querySelectorAll("a[href], area[href], svg a")];
  return all.map((link) => link.getAttribute("href") ?? link.getAttribute("xlink:href") ?? "");
}
function isAnchor(id) {
  return document.getElementById(id) !== null;
}

// --- keyboard

function focused() {
  const node = document.activeElement;
  if (!node || node === document.body || node === document.documentElement) return null;
  const style = getComputedStyle(node);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const place = box(node);
  const seen = ring && place.width > 0 && place.right > 0 && place.left < document.documentElement.clientWidth;
  return { what: `${name(node)} "${text(node)}"`, seen };
}
function reachable() {
  const all = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']");
  return [...all].filter((node) => isShown(node)).length;
}
