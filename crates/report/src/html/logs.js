// The timeline, the filter and the order of the table. Nothing here makes markup of text: elements are made one by one,
// and text is only ever text. Times are seconds as if local time were UTC, so UTC's calendar shows what the log showed.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const incident of data.incidents) {
    const told = incident.timeline;
    incident.timeline = [];
    for (let idx = 0, step = 0; idx < told.length; idx += 2) {
      step += told[idx];
      incident.timeline.push([step, told[idx + 1]]);
    }
  }
  const at = (id) => document.getElementById(id);
  const shownClasses = data.classes.map(() => true);
  const mark = (rank) => "c" + Math.min(rank, 7);
  const grouped = (number) => number.toLocaleString("en-US");

  function make(parent, name, attributes, text) {
    const isDrawn = parent instanceof SVGElement;
    const element = isDrawn ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.appendChild(element);
    return element;
  }

  const two = (number) => String(number).padStart(2, "0");
  function day(seconds) {
    const date = new Date(seconds * 1000);
    return date.getUTCFullYear() + "/" + two(date.getUTCMonth() + 1) + "/" + two(date.getUTCDate());
  }
  function clock(seconds) {
    const date = new Date(seconds * 1000);
    return two(date.getUTCHours()) + ":" + two(date.getUTCMinutes());
  }
  function span(from, until) {
    if (data.step === DAY) {
      const last = day(until - DAY);
      return day(from) === last ? last : day(from) + " to " + last;
    }
    const sameDay = day(from) === day(until - 1);
    const end = sameDay && clock(until) !== "00:00" ? clock(until) : sameDay ? "24:00" : day(until) + " " + clock(until);
    return day(from) + " " + clock(from) + " to " + end;
  }
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const LENGTHS = [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE)
    .concat([1, 2, 3, 6, 12].map((n) => n * HOUR), [1, 2, 7, 14, 28, 91, 182, 364].map((n) => n * DAY));
  function length(seconds) {
    const [one, unit, name] = seconds >= DAY ? ["a day", DAY, "days"] : seconds >= HOUR ? ["an hour", HOUR, "hours"]
      : ["a minute", MINUTE, "minutes"];
    return seconds === unit ? one : seconds / unit + " " + name;
  }

  // The table. A row and its details are one body, so that they are moved and hidden together.
  const table = at("table");
  const rows = data.incidents.map((incident, idx) => ({
    incident,
    idx,
    body: table.tBodies[idx],
    text: [incident.failure, incident.peer, incident.status || "", incident.cause, incident.text].join(" ").toLowerCase(),
    isShown: true,
  }));
  let wanted = [];
  const isWanted = (row) => wanted.every((word) => row.text.includes(word));

  function filter() {
    const isZoomed = view.from > whole.from || view.until < whole.until;
    const fails = (incident) => incident.timeline.some(([step]) => step >= view.from && step < view.until);
    let count = 0;
    for (const row of rows) {
      row.isShown = isWanted(row) && shownClasses[row.incident.class] && (!isZoomed || fails(row.incident));
      row.body.hidden = !row.isShown;
      count += row.isShown;
    }
    at("shown").textContent = (count === rows.length ? "All " : count + " of ") + rows.length
      + (rows.length === 1 ? " incident" : " incidents") + (isZoomed ? ", those that failed in the time shown" : "");
  }

  const collator = new Intl.Collator("en", { numeric: true });
  function sort(header, isDescending) {
    const key = header.dataset.key;
    const compare = (a, b) => typeof a === "number" ? a - b : collator.compare(a, b);
    const sign = isDescending ? -1 : 1;
    rows.sort((a, b) => sign * compare(a.incident[key], b.incident[key]) || a.idx - b.idx);
    for (const row of rows) table.appendChild(row.body);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  }

  if (table) {
    for (const header of table.tHead.rows[0].cells) {
      const name = header.textContent;
      header.textContent = "";
      const button = make(header, "button", { type: "button" }, name);
      button.addEventListener("click", () => {
        const isNumber = typeof data.incidents[0][header.dataset.key] === "number";
        const sorted = header.getAttribute("aria-sort");
        sort(header, sorted ? sorted === "ascending" : isNumber);
      });
    }
    at("filter").addEventListener("input", (event) => {
      wanted = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      update();
    });
    at("controls").hidden = false;
  }

  // The timeline. What is in view is told in steps; a bar is one step or more.
  const chart = at("chart"), plot = at("plot"), tip = at("tip");
  const whole = { from: Infinity, until: -Infinity };
  for (const timeline of data.incidents.map((incident) => incident.timeline).concat([data.access])) {
    for (const [step] of timeline) {
      whole.from = Math.min(whole.from, step);
      whole.until = Math.max(whole.until, step + 1);
    }
  }
  let view = { ...whole };
  const LEFT = 46, RIGHT = 10, TOP = 10, AXIS = 22, GAP = 26, SHARE = 54;
  let bars = [], size = 1, scale = { width: 0, height: 0, bottom: 0 };
  // The bar that is pointed at, as its first step; keys move it.
  let cursor = null, isPointed = false, isFocused = false, drag = null;

  const x = (step) => (step - view.from) / (view.until - view.from) * scale.width;
  const stepAt = (pixel) => view.from + pixel / scale.width * (view.until - view.from);
  const barOf = (step) => bars.find((bar) => bar.step <= step && step < bar.step + size);

  function count() {
    const most = Math.max(8, Math.min(240, Math.floor(scale.width / 5)));
    const steps = view.until - view.from;
    const least = LENGTHS.find((seconds) => seconds % data.step === 0 && steps / (seconds / data.step) <= most)
      || Math.ceil(steps * data.step / most / (364 * DAY)) * 364 * DAY;
    size = least / data.step;
    const first = Math.floor(view.from / size);
    const last = Math.ceil(view.until / size);
    bars = [];
    for (let bar = first; bar < last; bar++) {
      bars.push({ step: bar * size, counts: data.classes.map(() => 0), total: 0, requests: 0, errors: 0 });
    }
    const of = (step) => step >= view.from && step < view.until ? bars[Math.floor(step / size) - first] : undefined;
    for (const row of rows) {
      if (!shownClasses[row.incident.class] || !isWanted(row)) continue;
      for (const [step, count] of row.incident.timeline) {
        const bar = of(step);
        if (!bar) continue;
        bar.counts[row.incident.class] += count;
        bar.total += count;
      }
    }
    for (const [step, requests, errors] of data.access) {
      const bar = of(step);
      if (!bar) continue;
      bar.requests += requests;
      bar.errors += errors;
    }
  }

  // The next larger number that is easy to read.
  function round(number) {
    const power = Math.pow(10, Math.floor(Math.log10(Math.max(number, 1))));
    return [1, 1.2, 1.5, 2, 3, 4, 6, 8, 10].map((factor) => factor * power)
      .find((round) => round >= number && Number.isInteger(round));
  }

  function draw() {
    const width = plot.clientWidth;
    const isNarrow = width < 560;
    const tall = isNarrow ? 170 : 230;
    const hasAccess = data.access.length > 0;
    scale = { width: Math.max(width - LEFT - RIGHT, 40), height: tall, bottom: TOP + tall };
    const height = scale.bottom + (hasAccess ? GAP + SHARE : 0) + AXIS;
    count();
    chart.textContent = "";
    chart.setAttribute("viewBox", "0 0 " + width + " " + height);
    chart.setAttribute("width", width);
    chart.setAttribute("height", height);

    const top = round(Math.max(...bars.map((bar) => bar.total), 1));
    for (const part of top % 2 ? [0, 1] : [0, 0.5, 1]) {
      const y = scale.bottom - part * scale.height;
      make(chart, "line", { x1: LEFT, x2: LEFT + scale.width, y1: y, y2: y, class: "grid" });
      make(chart, "text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, grouped(top * part));
    }
    // An inner drawing cuts off what reaches out of the view.
    const inner = make(chart, "svg", { x: LEFT, y: 0, width: scale.width, height: height - AXIS });
    for (const [from, until] of data.silences) {
      const left = x(from / data.step);
      make(inner, "rect", { x: left, y: TOP, width: Math.max(x(until / data.step) - left, 1), height: scale.height,
        class: "silence" });
    }
    const wide = x(view.from + size);
    const gap = wide > 6 ? 1 : 0;
    for (const bar of bars) {
      let y = scale.bottom;
      bar.counts.forEach((count, rank) => {
        if (!count) return;
        // What failed once among thousands is seen too.
        const high = Math.max(count / top * scale.height, 1.5);
        y -= high;
        make(inner, "rect", { x: x(bar.step), y, width: Math.max(wide - gap, 1), height: high, class: mark(rank) });
        if (high > 4) make(inner, "line", { x1: x(bar.step), x2: x(bar.step) + wide - gap, y1: y, y2: y, class: "edge" });
      });
    }
    if (hasAccess) shares(inner, wide, gap);
    axis(height);
    make(inner, "rect", { id: "cursor", y: TOP, width: Math.max(wide, 2), height: height - AXIS - TOP, class: "cursor",
      visibility: "hidden" });
    make(inner, "rect", { id: "drag", y: TOP, width: 0, height: height - AXIS - TOP, class: "drag", visibility: "hidden" });

    at("range").textContent = span(view.from * data.step, view.until * data.step) + " \u00b7 a bar is "
      + length(size * data.step);
    // A button that is of no use now keeps the focus it has.
    const isOff = (id, isOff) => at(id).setAttribute("aria-disabled", isOff);
    isOff("in", view.until - view.from <= 1);
    isOff("earlier", view.from <= whole.from);
    isOff("later", view.until >= whole.until);
    const isWhole = view.from <= whole.from && view.until >= whole.until;
    isOff("out", isWhole);
    isOff("reset", isWhole);
    point();
  }

  // How many of the requests were answered by 5xx.
  function shares(inner, wide, gap) {
    const base = scale.bottom + GAP + SHARE;
    const share = (bar) => bar.requests ? bar.errors / bar.requests * 100 : 0;
    const top = Math.min(100, round(Math.max(...bars.map(share), 1)));
    make(chart, "text", { x: LEFT, y: scale.bottom + GAP - 7, class: "name" }, "requests answered by 5xx, percent");
    for (const [part, y] of [[0, base], [top, base - SHARE]]) {
      make(chart, "line", { x1: LEFT, x2: LEFT + scale.width, y1: y, y2: y, class: "grid" });
      make(chart, "text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, String(part));
    }
    for (const bar of bars) {
      if (!bar.errors) continue;
      const high = Math.max(share(bar) / top * SHARE, 1.5);
      make(inner, "rect", { x: x(bar.step), y: base - high, width: Math.max(wide - gap, 1), height: high, class: "share" });
    }
  }

  function axis(height) {
    const seconds = (view.until - view.from) * data.step;
    const most = Math.max(2, Math.floor(scale.width / 68));
    const between = LENGTHS.find((length) => length >= data.step && seconds / length <= most) || 364 * DAY;
    for (let tick = Math.ceil(view.from * data.step / between) * between; tick <= view.until * data.step; tick += between) {
      const left = LEFT + x(tick / data.step);
      make(chart, "line", { x1: left, x2: left, y1: height - AXIS, y2: height - AXIS + 4, class: "tick" });
      const isDay = between >= DAY || tick % DAY === 0;
      const anchor = left < LEFT + 20 ? "start" : left > LEFT + scale.width - 20 ? "end" : "middle";
      make(chart, "text", { x: left, y: height - 5, "text-anchor": anchor }, isDay ? day(tick).slice(5) : clock(tick));
    }
  }

  // Shows what is pointed at, or hides it.
  function point() {
    const bar = cursor === null ? undefined : barOf(cursor);
    const shown = bar && (isPointed || isFocused) && !drag;
    at("cursor").setAttribute("visibility", shown ? "visible" : "hidden");
    tip.hidden = !shown;
    const told = bar || bars[0];
    chart.setAttribute("aria-valuemin", bars[0].step);
    chart.setAttribute("aria-valuemax", bars[bars.length - 1].step);
    chart.setAttribute("aria-valuenow", told.step);
    chart.setAttribute("aria-valuetext", words(told));
    if (!shown) return;
    at("cursor").setAttribute("x", x(bar.step));
    tip.textContent = "";
    make(tip, "p", { class: "when" }, times(bar));
    if (!bar.total) make(tip, "p", {}, isSilent(bar) ? "nothing was logged" : "no failed attempt");
    bar.counts.forEach((count, rank) => {
      if (!count) return;
      const line = make(tip, "p");
      make(line, "i", { class: mark(rank) });
      make(line, "span", {}, data.classes[rank] + " ");
      make(line, "b", {}, grouped(count));
    });
    if (bar.counts.filter(Boolean).length > 1) make(tip, "p", {}, "together " + grouped(bar.total));
    if (bar.requests) make(tip, "p", { class: "requests" }, answered(bar));
    const middle = LEFT + x(bar.step + size / 2);
    const room = plot.clientWidth - tip.offsetWidth;
    const beside = middle + 14 <= room ? middle + 14 : middle - 14 - tip.offsetWidth;
    tip.style.left = Math.max(0, Math.min(beside, room)) + "px";
  }
  const times = (bar) => span(bar.step * data.step, (bar.step + size) * data.step);
  const answered = (bar) => grouped(bar.errors) + " of " + grouped(bar.requests) + " requests answered by 5xx";
  const isSilent = (bar) => data.silences.some(
    ([from, until]) => from <= bar.step * data.step && until >= (bar.step + size) * data.step);
  function words(bar) {
    const counts = bar.counts.map((count, rank) => count ? data.classes[rank] + " " + grouped(count) : "").filter(Boolean);
    const told = counts.length ? counts : [isSilent(bar) ? "nothing was logged" : "no failed attempt"];
    return times(bar) + ": " + told.concat(bar.requests ? [answered(bar)] : []).join(", ");
  }

  function look(from, until) {
    const width = Math.min(Math.max(Math.round(until - from), 1), whole.until - whole.from);
    const first = Math.min(Math.max(Math.round(from), whole.from), whole.until - width);
    view = { from: first, until: first + width };
    update();
  }
  function zoom(factor, middle) {
    const part = (middle - view.from) / (view.until - view.from);
    const width = (view.until - view.from) * factor;
    look(middle - part * width, middle + (1 - part) * width);
  }
  const zoomAtMiddle = (factor) => zoom(factor, (view.from + view.until) / 2);
  function zoomAtCursor(factor) {
    const bar = cursor === null ? undefined : barOf(cursor);
    if (bar) zoom(factor, bar.step + size / 2);
    else zoomAtMiddle(factor);
  }
  function pan(part) {
    const by = Math.sign(part) * Math.max(1, Math.round(Math.abs(part) * (view.until - view.from)));
    look(view.from + by, view.until + by);
  }
  const reset = () => look(whole.from, whole.until);
  function move(by) {
    const idx = bars.indexOf(barOf(cursor === null ? view.from : cursor)) + by;
    if (idx < 0 || idx >= bars.length) pan(by / bars.length);
    const bar = bars[Math.min(Math.max(idx, 0), bars.length - 1)];
    cursor = Math.max(bar.step, view.from);
    point();
  }
  function update() {
    draw();
    if (table) filter();
  }

  const KEYS = {
    ArrowLeft: (event) => event.shiftKey ? pan(-0.25) : move(-1),
    ArrowRight: (event) => event.shiftKey ? pan(0.25) : move(1),
    Home: () => { cursor = view.from; point(); },
    End: () => { cursor = view.until - 1; point(); },
    ArrowUp: () => zoomAtCursor(0.5), "+": () => zoomAtCursor(0.5), "=": () => zoomAtCursor(0.5),
    ArrowDown: () => zoomAtCursor(2), "-": () => zoomAtCursor(2),
    0: reset, Escape: reset,
  };
  chart.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(event);
  });
  chart.addEventListener("focus", () => {
    isFocused = chart.matches(":focus-visible");
    if (cursor === null) cursor = bars.reduce((most, bar) => bar.total > most.total ? bar : most, bars[0]).step;
    point();
  });
  chart.addEventListener("blur", () => { isFocused = isPointed = false; point(); });

  const pixel = (event) => {
    const left = event.clientX - chart.getBoundingClientRect().left - LEFT;
    return Math.min(Math.max(left, 0), scale.width - 0.01);
  };
  chart.addEventListener("pointermove", (event) => {
    cursor = Math.floor(stepAt(pixel(event)));
    isPointed = true;
    if (drag) {
      drag.until = pixel(event);
      const chosen = at("drag");
      chosen.setAttribute("x", Math.min(drag.from, drag.until));
      chosen.setAttribute("width", Math.abs(drag.until - drag.from));
      chosen.setAttribute("visibility", "visible");
    }
    point();
  });
  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    chart.setPointerCapture(event.pointerId);
    drag = { from: pixel(event), until: pixel(event) };
  });
  chart.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [from, until] = [drag.from, drag.until].sort((a, b) => a - b);
    drag = null;
    cursor = Math.floor(stepAt(pixel(event)));
    isPointed = true;
    if (until - from > 6) {
      const last = barOf(Math.floor(stepAt(until)));
      look(barOf(Math.floor(stepAt(from))).step, last.step + size);
    } else {
      point();
    }
  });
  chart.addEventListener("pointercancel", () => { drag = null; draw(); });
  // A finger leaves as it is lifted, and what it touched is yet to be read.
  chart.addEventListener("pointerleave", (event) => {
    isPointed = event.pointerType === "touch";
    point();
  });

  at("in").addEventListener("click", () => zoomAtMiddle(0.5));
  at("out").addEventListener("click", () => zoomAtMiddle(2));
  at("earlier").addEventListener("click", () => pan(-0.5));
  at("later").addEventListener("click", () => pan(0.5));
  at("reset").addEventListener("click", reset);
  [...at("legend").querySelectorAll("button")].forEach((button, rank) => {
    button.addEventListener("click", () => {
      shownClasses[rank] = !shownClasses[rank];
      button.setAttribute("aria-pressed", shownClasses[rank]);
      update();
    });
  });

  if (whole.from < whole.until) {
    at("timeline").hidden = false;
    new ResizeObserver(draw).observe(plot);
    update();
  } else if (table) {
    filter();
  }
})();
