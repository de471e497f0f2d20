// Charts as inline SVG. Every chart stands beside a table or list with the same figures.

const WIDTH = 480;
const MARGIN = 120;

function chart(height, label, ...content) {
  return el("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "chart" }, ...content);
}

function figure(caption, ...content) {
  return el("figure", {}, el("figcaption", {}, caption), ...content);
}

const shorten = (text, length = 14) => (text.length > length ? "…" + text.slice(1 - length) : text);

function scale(low, high) {
  return (value) => MARGIN + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (WIDTH - MARGIN - 50);
}

function axis(place, ticks, top, bottom, format = String) {
  return ticks.map((tick) =>
    el("g", {},
      el("line", { class: tick === 0 ? "zero" : "grid", x1: place(tick), x2: place(tick), y1: top, y2: bottom }),
      el("text", { class: "tick", x: place(tick), y: bottom + 14, "text-anchor": "middle" }, format(tick)),
    ),
  );
}

// Means with their intervals. `rows` are {label, model, estimate}; a null estimate is said to be missing.
function intervals(label, rows, low, high, ticks, format = number) {
  const place = scale(low, high);
  const step = 26;
  const bottom = rows.length * step + 6;
  const marks = rows.map(({ label: name, model, estimate: found }, index) => {
    const y = index * step + 18;
    const text = el("text", { x: MARGIN - 10, y: y + 4, "text-anchor": "end" }, shorten(name), el("title", {}, name));
    if (!found) return [text, el("text", { class: "tick", x: place(low) + 6, y: y + 4 }, "not scored")];
    const bar = isNumber(found.low) && el("line", { class: "whisker", x1: place(found.low), x2: place(found.high), y1: y, y2: y });
    const value = el("text", { class: "value", x: WIDTH - 4, y: y + 4, "text-anchor": "end" }, format(found.mean));
    return [text, el("g", { class: modelClass(model) }, bar, el("circle", { cx: place(found.mean), cy: y, r: 5 })), value];
  });
  const spoken = rows.map((row) => `${row.label} ${row.estimate ? format(row.estimate.mean) : "not scored"}`).join(", ");
  return chart(bottom + 20, `${label}: ${spoken}`, axis(place, ticks, 2, bottom, format === percent ? percent : String), ...marks);
}

const TENS = [0, 2, 4, 6, 8, 10];

// How many roles have which composite, one row of bars a model.
function histograms(judge) {
  const bins = 20;
  const rowHeight = 64;
  const place = scale(0, 10);
  const counts = models.map((model) => {
    const found = new Array(bins).fill(0);
    for (const role of data.roles) {
      const score = roleScore(role.id, model, judge);
      if (score !== null) found[Math.min(bins - 1, Math.floor((score / 10) * bins + 1e-9))] += 1;
    }
    return found;
  });
  const most = Math.max(1, ...counts.flat());
  const bottom = models.length * rowHeight;
  const rows = models.map((model, index) => {
    const base = (index + 1) * rowHeight;
    const bars = counts[index].map((count, bin) => {
      const [left, right] = [place((bin * 10) / bins), place(((bin + 1) * 10) / bins)];
      const height = (count / most) * (rowHeight - 18);
      const range = `${number((bin * 10) / bins)} to ${number(((bin + 1) * 10) / bins)}`;
      return count > 0 && el("rect", { x: left + 0.5, y: base - height, width: right - left - 1, height }, el("title", {}, `${range}: ${counted(count, "role")}`));
    });
    return [
      el("text", { x: MARGIN - 10, y: base - 8, "text-anchor": "end" }, shorten(model), el("title", {}, model)),
      el("line", { class: "zero", x1: MARGIN, x2: place(10), y1: base, y2: base }),
      el("g", { class: modelClass(model) }, bars),
    ];
  });
  const spoken = models.map((model, i) => `${model}: ${counts[i].slice(0, bins / 2).reduce((a, b) => a + b, 0)} below 5, ${counts[i].slice(bins / 2).reduce((a, b) => a + b, 0)} from 5 up`).join("; ");
  return chart(bottom + 22, `Roles by composite. ${spoken}`, axis(place, TENS, 4, bottom), ...rows);
}

// The difference to the baseline for every role, sorted: gains to the left, losses to the right.
function waterfall(model, judge) {
  const found = data.roles.map((role) => [roleDifference(role.id, model, judge), role]).filter(([difference]) => difference !== null);
  found.sort((one, other) => other[0] - one[0]);
  if (!found.length) return null;
  const [high, low] = [Math.max(1, found[0][0]), Math.min(-1, found.at(-1)[0])];
  const [height, left] = [130, 40];
  const y = (value) => 10 + ((high - value) / (high - low)) * (height - 20);
  const width = (WIDTH - left) / found.length;
  const bars = found.map(([difference, role], index) =>
    el("rect", { class: difference < 0 ? "loss" : "gain", x: left + index * width, width: Math.max(width - (width > 3 ? 1 : 0), 0.5), y: Math.min(y(0), y(difference)), height: Math.max(Math.abs(y(difference) - y(0)), 0.5) },
      el("title", {}, `${role.title}: ${signed(difference)}`)),
  );
  const apart = (tick) => tick === 0 || Math.abs(y(tick) - y(0)) > 14;
  const ticks = [high, 0, low].filter(apart).map((tick) => [
    el("line", { class: tick ? "grid" : "zero", x1: left, x2: WIDTH, y1: y(tick), y2: y(tick) }),
    el("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, signed(tick)),
  ]);
  const better = found.filter(([difference]) => difference > 0).length;
  return chart(height, `${model} less ${baseline}, ${found.length} roles sorted: ${better} higher`, ...ticks, ...bars);
}
