/** Colors of lines on a light page and on a dark one; all have a contrast of at least 3 to 1 with it. */
const LIGHT = ["#2a62d8", "#b8520b", "#16794a", "#8a45c2", "#c02d4b", "#0d7886", "#7d6008", "#536176"];
const DARK = ["#7ea9ff", "#f0985c", "#5fc892", "#c793f2", "#f58096", "#56c7d4", "#d3b25a", "#a5b5ca"];

/** Color names of both pages. */
const COLORS = `
:root{--ink:#1d2430;--soft:#5b6675;--line:#d8dde5;--page:#ffffff;--card:#f6f8fa;--heat:#2a62d8;${colors(LIGHT)}}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#a2adbb;--line:#38424f;--page:#14181e;--card:#1c222a;--heat:#7ea9ff;${colors(DARK)}}}`;

function colors(some: readonly string[]): string {
  return some.map((color, index) => `--c${index}:${color}`).join(";");
}

const SERIES = LIGHT.map(
  (_, index) =>
    `.s${index}{stroke:var(--c${index});--own:var(--c${index})${index >= 4 ? ";stroke-dasharray:7 3" : ""}}`,
).join("");

/** Style sheet of drawings. */
export const CHART_STYLE = `${COLORS}
svg text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink);stroke:none}
svg .soft{fill:var(--soft)}svg .title{font-weight:600;font-size:15px}
svg .axis{stroke:var(--soft);fill:none}svg .grid{stroke:var(--line);fill:none}
.series{fill:none;stroke-width:2;stroke-linejoin:round}.series.s0{stroke-width:3}
${SERIES}
.base{stroke:var(--ink);--own:var(--ink);stroke-dasharray:3 3}.other{stroke:var(--soft);--own:var(--soft);stroke-width:1}
.dot{fill:var(--own);stroke:var(--page);stroke-width:1;stroke-dasharray:none}
.spread{stroke-width:2;stroke-dasharray:none}.mark .spread{opacity:.5}
.heat{fill:var(--heat)}.heat-page{fill:var(--card)}
.key{cursor:default}.key:focus{outline:none}.key:focus text,.key:hover text{text-decoration:underline}
svg.picked .series:not(.on),svg.picked .mark:not(.on){opacity:.15}svg.picked .series.on{stroke-width:4}`;
