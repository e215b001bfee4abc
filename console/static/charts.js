// Pictures of the data that a page brings along as JSON. Whatever names are in it, they become text: labels on a canvas, or text nodes.
import * as echarts from "./vendor/echarts/echarts.esm.min.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const OUTCOMES = { "accounts:open": "--series-1", "accounts:won": "--won", "accounts:lost": "--lost", "accounts:expired": "--expired", "accounts:": "--series-7", won: "--won", lost: "--lost", expired: "--expired", waiting: "--waiting", sent_back: "--series-4", accepted: "--series-1", handed_on: "--series-5", visits: "--lost" };
const KINDS = { new: "--series-7", stage: "--accent", back: "--series-4", lost: "--lost", expired: "--expired", waiting: "--waiting", repeat: "--won" };
const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function duration(seconds) {
  if (!seconds) return "0";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of units) {
    if (left >= size || (unit === "s" && !parts.length)) {
      parts.push(`${Math.floor(left / size)} ${unit}`);
      left %= size;
    } else if (parts.length) break;
  }
  return parts.slice(0, 2).join(" ");
}

const written = (value, unit) => (value === null || value === undefined ? "–" : unit === "seconds" ? duration(value) : number.format(value));

function tooltip(title, rows) {
  const box = document.createElement("div");
  box.className = "tooltip";
  const head = document.createElement("b");
  head.textContent = title;
  box.append(head);
  for (const [name, value] of rows) {
    const row = document.createElement("span");
    row.className = "tooltip-row";
    const [left, right] = [document.createElement("span"), document.createElement("span")];
    left.textContent = name;
    right.textContent = value;
    row.append(left, right);
    box.append(row);
  }
  return box;
}

function base() {
  return {
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 250,
    textStyle: { fontFamily: css("--sans"), color: css("--ink") },
    tooltip: { backgroundColor: css("--surface"), borderColor: css("--line"), padding: [8, 12], confine: true, textStyle: { color: css("--ink") } },
  };
}

const legend = () => ({ type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 11, itemHeight: 11, itemGap: 16, textStyle: { color: css("--quiet"), width: 120, overflow: "truncate" }, pageTextStyle: { color: css("--quiet") }, pageIconColor: css("--quiet") });
const axisText = () => ({ color: css("--quiet"), fontSize: 12 });
const splitLine = () => ({ lineStyle: { color: css("--line") } });
const series = (index) => css(`--series-${(index % 7) + 1}`);

// Ticks of whole hours, days or weeks.
const STEPS = [1, 5, 15, 60, 300, 900, 3600, 7200, 21600, 43200, 86400, 172800, 432000, 604800, 1209600, 2592000, 5184000, 7776000, 15552000, 31536000, 63072000, 157680000];
function ticks(seconds, most = 7) {
  const step = STEPS.find((one) => seconds / one <= most) ?? STEPS.at(-1);
  return { interval: step, max: Math.max(step, Math.ceil(seconds / step) * step) };
}

let ruler;
function widest(labels) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = `12px ${css("--sans")}`;
  return Math.ceil(Math.max(0, ...labels.map((label) => ruler.measureText(label).width)));
}

function lines(data) {
  const seconds = data.unit === "seconds";
  const top = Math.max(0, ...data.series.flatMap((one) => one.values.map((value) => value ?? 0)));
  const scale = seconds ? ticks(top, 6) : {};
  const marks = seconds ? Array.from({ length: Math.round(scale.max / scale.interval) + 1 }, (_, index) => duration(index * scale.interval)) : [compact.format(top * 1.2)];
  return {
    ...base(),
    legend: legend(),
    grid: { left: widest(marks) + 18, right: 16, top: 40, bottom: 28 },
    tooltip: { ...base().tooltip, trigger: "axis", formatter: (points) => tooltip(`Week of ${points[0].axisValue}`, points.map((point) => [point.seriesName, written(point.value, data.unit) + (data.series[point.seriesIndex].changing[point.dataIndex] ? " so far" : "")])) },
    xAxis: { type: "category", data: data.labels, boundaryGap: true, axisLabel: { ...axisText(), hideOverlap: true }, axisLine: { lineStyle: { color: css("--line") } }, axisTick: { show: false } },
    yAxis: { type: "value", min: 0, ...scale, axisLabel: { ...axisText(), formatter: (value) => (seconds ? duration(value) : compact.format(value)) }, splitLine: splitLine() },
    series: data.series.map((one, index) => ({
      type: "line", name: one.name, color: series(index), lineStyle: { width: 2 }, symbol: "circle", symbolSize: 5, showSymbol: data.labels.length < 40, connectNulls: true,
      data: one.values.map((value, at) => (one.changing[at] ? { value, symbol: "emptyCircle", symbolSize: 9, itemStyle: { borderWidth: 2 } } : value)),
    })),
  };
}

// What waits is drawn apart from what is decided, here as anywhere.
const waits = () => ({ color: css("--waiting-soft"), borderColor: css("--waiting"), borderWidth: 1.5, borderType: "dashed" });

function bars(data, width) {
  const labels = data.labels.map((label) => shorten(label, width < 560 ? 16 : 34));
  return {
    ...base(),
    legend: data.series.length > 1 ? legend() : undefined,
    grid: { left: widest(labels) + 14, right: 24, top: data.series.length > 1 ? 36 : 8, bottom: 26 },
    tooltip: { ...base().tooltip, trigger: "axis", axisPointer: { type: "shadow" }, formatter: (points) => tooltip(data.labels[points[0].dataIndex], points.map((point) => [point.seriesName, written(point.value, data.unit)])) },
    xAxis: { type: "value", axisLabel: { ...axisText(), hideOverlap: true, formatter: (value) => compact.format(value) }, splitLine: splitLine() },
    yAxis: { type: "category", inverse: true, data: labels.map((_, index) => `${index}`), axisLabel: { ...axisText(), color: css("--ink"), formatter: (index) => labels[index] }, axisLine: { show: false }, axisTick: { show: false } },
    series: data.series.map((one, index) => {
      const whole = data.stacked ? { borderColor: css("--surface"), borderWidth: 1 } : { borderRadius: [0, 3, 3, 0] };
      return {
        type: "bar", name: one.name, stack: data.stacked ? "whole" : undefined, data: one.values, barMaxWidth: data.stacked ? 22 : 9, barGap: "10%",
        color: css(OUTCOMES[one.key] ?? `--series-${(index % 7) + 1}`), itemStyle: one.key === "waiting" ? waits() : whole,
      };
    }),
  };
}

function sankey(data, width) {
  const narrow = width < 560;
  const label = Object.fromEntries(data.nodes.map((node) => [node.name, node.label]));
  return {
    ...base(),
    tooltip: { ...base().tooltip, trigger: "item", formatter: (point) => (point.dataType === "edge" ? tooltip(`${label[point.data.source]} → ${label[point.data.target]}`, [["Moves", number.format(point.value)]]) : tooltip(label[point.name], [["Moves", number.format(point.value)]])) },
    series: [{
      type: "sankey", orient: narrow ? "vertical" : "horizontal", left: narrow ? 8 : 4, right: narrow ? 8 : 130, top: narrow ? 18 : 12, bottom: narrow ? 60 : 12,
      nodeWidth: 12, nodeGap: narrow ? 16 : 14, draggable: false, emphasis: { focus: "adjacency" }, layoutIterations: 48,
      label: { color: css("--ink"), fontSize: 12, formatter: (point) => shorten(label[point.name], narrow ? 11 : 20), position: narrow ? "bottom" : "right" },
      labelLayout: { hideOverlap: true },
      lineStyle: { color: "target", opacity: 0.28, curveness: 0.5 },
      data: data.nodes.map((node) => ({ name: node.name, depth: node.depth, itemStyle: { color: css(KINDS[node.kind] ?? "--accent"), borderWidth: 0 } })),
      links: data.links.map((link) => ({ source: link.source, target: link.target, value: link.value })),
    }],
  };
}

function ranges(data, width) {
  const labels = data.labels.map((label) => shorten(label, width < 560 ? 14 : 30));
  const scale = ticks(Math.max(0, ...data.values.map((row) => row[2])), width < 560 ? 3 : 8);
  const mark = (params, api) => {
    const row = api.value(0);
    const [from, to] = [api.coord([api.value(1), row]), api.coord([api.value(3), row])];
    const middle = api.coord([api.value(2), row]);
    return {
      type: "group",
      children: [
        { type: "rect", shape: { x: from[0], y: from[1] - 3, width: Math.max(1, to[0] - from[0]), height: 6, r: 3 }, style: { fill: css("--accent"), opacity: 0.35 } },
        { type: "rect", shape: { x: from[0], y: from[1] - 3, width: Math.max(1, middle[0] - from[0]), height: 6, r: 3 }, style: { fill: css("--accent"), opacity: 0.5 } },
        { type: "circle", shape: { cx: from[0], cy: from[1], r: 6 }, style: { fill: css("--accent"), stroke: css("--surface"), lineWidth: 2 } },
      ],
    };
  };
  return {
    ...base(),
    grid: { left: widest(labels) + 14, right: 28, top: 8, bottom: 26 },
    tooltip: { ...base().tooltip, trigger: "item", formatter: (point) => tooltip(data.labels[point.value[0]], [["Median", data.texts[point.value[0]][0]], ["Three quarters by", data.texts[point.value[0]][1]], ["Nine tenths by", data.texts[point.value[0]][2]]]) },
    xAxis: { type: "value", min: 0, ...scale, axisLabel: { ...axisText(), hideOverlap: true, formatter: (value) => duration(value) }, splitLine: splitLine() },
    yAxis: { type: "category", inverse: true, data: labels.map((_, index) => `${index}`), axisLabel: { ...axisText(), color: css("--ink"), formatter: (index) => labels[index] }, axisLine: { show: false }, axisTick: { show: false } },
    series: [{ type: "custom", renderItem: mark, encode: { x: [1, 2, 3], y: 0 }, data: data.values.map((row, index) => [index, ...row]) }],
  };
}

// A bar as a part of its target, whose whole is the track; a mark where it should be by now. What goes far beyond is cut, but for its number.
function bullets(data, width) {
  const labels = data.labels.map((label) => shorten(label, width < 560 ? 14 : 34));
  const share = (value) => (value === null ? "–" : `${Math.round(value * 100)}%`);
  const top = Math.min(2, Math.max(1, ...data.values, ...data.expected) + 0.05);
  const mark = (params, api) => {
    const row = api.value(0);
    const at = (value) => api.coord([Math.min(value, top), row])[0];
    const [left, y] = api.coord([0, row]);
    const value = data.values[row] ?? 0;
    return {
      type: "group",
      children: [
        { type: "rect", shape: { x: left, y: y - 12, width: at(1) - left, height: 24, r: 3 }, style: { fill: css("--sunken"), stroke: css("--line-strong"), lineWidth: 1 } },
        { type: "rect", shape: { x: left, y: y - 6, width: Math.max(0, at(value) - left), height: 12, r: 3 }, style: { fill: css("--accent") } },
        { type: "rect", shape: { x: at(data.expected[row]) - 1.5, y: y - 15, width: 3, height: 30 }, style: { fill: css("--ink"), stroke: css("--surface"), lineWidth: 1 } },
        { type: "text", style: { x: params.coordSys.x + params.coordSys.width + 8, y, text: share(data.values[row]), fill: css("--ink"), font: `12px ${css("--sans")}`, verticalAlign: "middle" } },
      ],
    };
  };
  return {
    ...base(),
    grid: { left: widest(labels) + 14, right: 58, top: 8, bottom: 26 },
    tooltip: { ...base().tooltip, trigger: "item", formatter: (point) => tooltip(data.labels[point.value[0]], ["Actual", "Expected by now", "Target", "Period"].map((name, index) => [name, data.texts[point.value[0]][index]])) },
    xAxis: { type: "value", min: 0, max: top, interval: (top > 1.5 ? 0.5 : 0.25) * (width < 560 ? 2 : 1), axisLabel: { ...axisText(), hideOverlap: true, showMaxLabel: false, formatter: share }, splitLine: splitLine() },
    yAxis: { type: "category", inverse: true, data: labels.map((_, index) => `${index}`), axisLabel: { ...axisText(), color: css("--ink"), formatter: (index) => labels[index] }, axisLine: { show: false }, axisTick: { show: false } },
    series: [{ type: "custom", renderItem: mark, encode: { x: [1, 2], y: 0 }, data: data.values.map((value, index) => [index, value ?? 0, data.expected[index]]) }],
  };
}

const KIND = { lines, bars, sankey, ranges, bullets };

export function drawAll() {
  const drawn = [];
  for (const place of document.querySelectorAll("[data-chart]")) {
    const data = JSON.parse(document.getElementById(place.dataset.chart).textContent);
    if (data.kind === "bars") {
      const each = data.stacked ? 34 : 12 * data.series.length + 18;
      place.style.height = `${Math.max(140, 60 + each * data.labels.length)}px`;
    } else if (data.kind === "bullets") place.style.height = `${Math.max(110, 40 + 42 * data.labels.length)}px`;
    const chart = echarts.init(place, null, { renderer: "canvas" });
    const draw = () => chart.setOption(KIND[data.kind](data, place.clientWidth), true);
    draw();
    drawn.push({ place, chart, draw, width: place.clientWidth });
    place.dataset.drawn = "";
  }
  document.addEventListener("journey-theme", () => drawn.forEach((one) => one.draw()));
  new ResizeObserver(() => {
    for (const one of drawn) {
      if (one.place.clientWidth !== one.width) {
        one.width = one.place.clientWidth;
        one.chart.resize();
        one.draw();
      }
    }
  }).observe(document.body);
}
