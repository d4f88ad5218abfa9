// Shows /openapi.json. Everything is built from DOM nodes: no text of the
// document or of an answer is ever read as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let doc = {};

/** Makes an element: el("a", {href: "/"}, "text", node, …). */
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}

/** Follows a $ref within the document. */
function resolve(schema) {
  let s = schema || {};
  for (let i = 0; s.$ref && i < 20; i++) s = (doc.components.schemas || {})[s.$ref.split("/").pop()] || {};
  return s;
}

function kindOf(schema) {
  const s = resolve(schema);
  let kind = [].concat(s.type || (s.properties ? "object" : "any")).join(" or ");
  if (s.items) kind = "list of " + kindOf(s.items);
  if (s.format && s.format !== "int64" && s.format !== "double") kind += " (" + s.format + ")";
  const limits = [];
  if (s.enum) limits.push("one of " + s.enum.join(", "));
  if (s.minimum !== undefined) limits.push("from " + s.minimum);
  if (s.maximum !== undefined) limits.push("to " + s.maximum);
  if (s.minLength !== undefined) limits.push("at least " + s.minLength + " characters");
  if (s.maxLength !== undefined) limits.push("at most " + s.maxLength + " characters");
  if (s.pattern) limits.push("like " + s.pattern);
  if (s.default !== undefined) limits.push("default " + JSON.stringify(s.default));
  return kind + (limits.length ? ": " + limits.join(", ") : "");
}

/** The fields of a schema as nested lists; seen stops circles. */
function fields(schema, seen) {
  let s = schema;
  while (resolve(s).items) s = resolve(s).items;
  const name = s.$ref || "";
  const known = seen || [];
  s = resolve(s);
  const extra = typeof s.additionalProperties === "object" ? s.additionalProperties : null;
  if ((!s.properties && !extra) || (name && known.includes(name))) return null;
  const list = el("ul", { class: "schema" });
  const add = (key, value, needed) => {
    list.append(el("li", null, el("code", null, key), " ", el("span", { class: "kind" }, kindOf(value)),
      needed ? el("span", { class: "needed" }, " needed") : null,
      value.description || resolve(value).description ? el("div", { class: "said" }, value.description || resolve(value).description) : null,
      fields(value, known.concat(name))));
  };
  for (const [key, value] of Object.entries(s.properties || {})) add(key, value, (s.required || []).includes(key));
  if (extra) add("any name", extra, false);
  return list;
}

/** A value that fits a schema, to begin a body with. */
function example(schema, depth) {
  const s = resolve(schema);
  const level = depth || 0;
  if (s.examples && s.examples.length) return s.examples[0];
  if (s.default !== undefined) return s.default;
  if (s.enum) return s.enum[0];
  switch ([].concat(s.type || (s.properties ? "object" : "any"))[0]) {
    case "object": {
      const out = {};
      if (level > 4) return out;
      for (const key of s.required || []) out[key] = example((s.properties || {})[key], level + 1);
      return out;
    }
    case "array": return level > 4 || !s.items ? [] : [example(s.items, level + 1)];
    case "integer": case "number": return s.minimum !== undefined ? s.minimum : 0;
    case "boolean": return false;
    case "string": return "";
    default: return null;
  }
}

function paragraphs(text) {
  return (text || "").split(/\n\s*\n/).filter(Boolean).map((p) => el("p", null, p));
}

/** The parameters as a table with inputs; gives the table and the inputs. */
function parameters(operation) {
  const inputs = [];
  const rows = (operation.parameters || []).map((p) => {
    const input = el("input", { "aria-label": p.name, spellcheck: "false" });
    inputs.push({ p, input });
    return el("tr", null,
      el("td", null, el("code", null, p.name), p.required ? el("span", { class: "needed" }, " needed") : null),
      el("td", null, p.in), el("td", null, el("span", { class: "kind" }, kindOf(p.schema)), p.description ? el("div", { class: "said" }, p.description) : null),
      el("td", null, input));
  });
  if (!rows.length) return { inputs, node: null };
  const head = el("tr", null, el("th", null, "name"), el("th", null, "in"), el("th", null, "what"), el("th", null, "value"));
  return { inputs, node: el("div", null, el("h3", null, "Parameters"), el("table", null, el("thead", null, head), el("tbody", null, ...rows))) };
}

/** The address and headers of a try, out of the inputs. */
function request(path, method, inputs, body) {
  let address = path;
  const query = new URLSearchParams();
  const headers = {};
  const key = document.getElementById("key").value.trim();
  if (key) headers["x-api-key"] = key;
  for (const { p, input } of inputs) {
    if (p.in === "path") address = address.replace("{" + p.name + "}", encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (p.in === "query") query.set(p.name, input.value);
    else if (p.in === "header") headers[p.name] = input.value;
  }
  const init = { method: method.toUpperCase(), headers, credentials: "omit" };
  if (body && body.value.trim()) {
    headers["Content-Type"] = "application/json";
    init.body = body.value;
  }
  return [query.size ? address + "?" + query : address, init];
}

/** Reads an answer into out; a stream as it comes. */
async function read(response, out) {
  const headers = ["x-request-id", "x-ratelimit-remaining", "retry-after", "idempotency-replayed"]
    .filter((h) => response.headers.get(h)).map((h) => h + ": " + response.headers.get(h));
  const head = [response.status + " " + response.statusText, ...headers].join("\n") + "\n\n";
  if ((response.headers.get("content-type") || "").startsWith("text/event-stream")) {
    out.textContent = head;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      out.append(value);
    }
  }
  const text = await response.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it is */ }
  out.textContent = head + shown;
}

function tryIt(path, method, inputs, body) {
  const out = el("pre", { hidden: true, "aria-live": "polite" });
  let running = null;
  const stop = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => running && running.abort() }, "Stop");
  const send = el("button", { type: "button", onclick: async () => {
    if (running) running.abort();
    const mine = new AbortController();
    running = mine;
    out.hidden = stop.hidden = false;
    out.textContent = "…";
    try {
      const [address, init] = request(path, method, inputs, body);
      await read(await fetch(address, { ...init, signal: mine.signal }), out);
    } catch (error) {
      if (!mine.signal.aborted) out.append("\n" + error);
    } finally {
      if (running === mine) { running = null; stop.hidden = true; }
    }
  } }, "Send");
  return el("div", null, el("h3", null, "Try it"), body, el("div", { class: "row" }, send, stop), out);
}

/** What is behind an operation's line; made when it is opened first. */
function inside(path, method, operation) {
  const { inputs, node } = parameters(operation);
  const out = [...paragraphs(operation.description), node];
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  let body = null;
  if (content) {
    out.push(el("h3", null, "Body: " + kindOf(content.schema)), fields(content.schema));
    body = el("textarea", { "aria-label": "Body", spellcheck: "false" });
    body.value = JSON.stringify(example(content.schema), null, 2);
  }
  for (const [status, response] of Object.entries(operation.responses || {})) {
    const [type, media] = Object.entries(response.content || {})[0] || ["", null];
    const list = media ? fields(media.schema) : null;
    out.push(el("details", null, el("summary", null, "Answer " + status + " ", el("span", { class: "kind" }, response.description + (type ? ", " + type : ""))), list));
  }
  out.push(tryIt(path, method, inputs, body));
  return out.filter(Boolean);
}

function entry(path, method, operation) {
  const box = el("div");
  const node = el("details", { class: "operation", id: operation.operationId, ontoggle: () => {
    if (node.open && !box.hasChildNodes()) box.append(...inside(path, method, operation));
  } }, el("summary", null, el("span", { class: "method " + method }, method.toUpperCase()), el("span", { class: "path" }, path),
    el("span", { class: "said" }, operation.summary || ""), el("span", { class: "rule" }, operation["x-berth-rule"] || "")), box);
  node.dataset.text = [method, path, operation.summary, operation.description, operation.operationId].join(" ").toLowerCase();
  return node;
}

function show() {
  document.getElementById("title").textContent = doc.info.title + " " + doc.info.version;
  const byTag = new Map();
  for (const [path, item] of Object.entries(doc.paths || {})) {
    for (const method of METHODS) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ["other"])[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(entry(path, method, item[method]));
    }
  }
  const main = document.getElementById("operations");
  const nav = document.getElementById("tags");
  main.replaceChildren();
  for (const tag of [...byTag.keys()].sort()) {
    nav.append(el("a", { href: "#tag-" + tag }, tag));
    main.append(el("section", { id: "tag-" + tag }, el("h2", null, tag), ...byTag.get(tag)));
  }
  const wanted = document.getElementById(location.hash.slice(1));
  if (wanted) {
    if (wanted.tagName === "DETAILS") wanted.open = true;
    wanted.scrollIntoView();
  }
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const node of document.querySelectorAll("details.operation")) node.hidden = !words.every((w) => node.dataset.text.includes(w));
  for (const section of document.querySelectorAll("section")) section.hidden = !section.querySelector("details.operation:not([hidden])");
}

async function start() {
  document.getElementById("find").addEventListener("input", (e) => find(e.target.value));
  try {
    const response = await fetch("/openapi.json");
    doc = await response.json();
    show();
  } catch (error) {
    document.getElementById("waiting").textContent = "The document can't be read: " + error;
  }
}

start();
