import { type Group, overall } from "../study.ts";
import { CHART_STYLE } from "./chart-style.ts";
import { goodputChart, loadMaps, ratioChart, ttftChart } from "./charts.ts";
import { fastestFirst, figuresOf, headline, headsOf } from "./columns.ts";
import type { ReportFacts } from "./json-report.ts";
import { short } from "./numbers.ts";
import { escaped, SeriesStyles } from "./svg.ts";

const STYLE = `${CHART_STYLE}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1360px;padding:24px;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:20px;margin:40px 0 8px}h3{font-size:16px;margin:24px 0 8px}
p{margin:4px 0 12px;max-width:80ch}.head{margin-top:28px;max-width:none}.soft{color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:12px 0}a{color:var(--c0)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px}
.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,260px),1fr));gap:16px}
figure{margin:0;padding:12px;border:1px solid var(--line);border-radius:8px}svg{display:block;width:100%;height:auto}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:4px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{font-weight:600;font-size:13px;color:var(--soft);vertical-align:bottom;white-space:normal}
td:first-child{max-width:24em;white-space:normal;overflow-wrap:anywhere}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--page)}
tr.base td{font-style:italic}abbr{text-decoration:none}
.key:focus-visible text{outline:2px solid var(--c0)}
@media (max-width:700px){body{padding:12px}.charts,.maps{gap:8px}figure{padding:6px}
td:first-child{min-width:8em;max-width:8em}}`;

/** Makes lines stand out while their key is under the pointer or has the focus; Enter and Space keep them so. */
const SCRIPT = `for(const svg of document.querySelectorAll("svg")){let kept;
const pick=(name)=>{svg.classList.toggle("picked",name!==undefined);
for(const one of svg.querySelectorAll("[data-policy]"))one.classList.toggle("on",one.dataset.policy===name)};
for(const key of svg.querySelectorAll(".key")){const{policy}=key.dataset;
key.setAttribute("role","button");key.setAttribute("aria-label","highlight "+policy);
const show=()=>pick(policy),hide=()=>pick(kept),keep=()=>{kept=kept===policy?undefined:policy;pick(kept)};
key.addEventListener("mouseenter",show);key.addEventListener("focus",show);
key.addEventListener("mouseleave",hide);key.addEventListener("blur",hide);key.addEventListener("click",keep);
key.addEventListener("keydown",(event)=>{if(event.key==="Enter"||event.key===" "){event.preventDefault();keep()}})}}`;

/** One page with everything: it needs no network, and is readable in a light and a dark browser. */
export function htmlPage(groups: readonly Group[], facts: ReportFacts): string {
  const policies = [...new Set(groups.flatMap(({ cells }) => cells.map(({ policy }) => policy)))];
  const styles = new SeriesStyles(policies, facts.baseline);
  const byLoad = [...Map.groupBy(groups, ({ load }) => load)];
  const sections = byLoad.map(([load, some], index) => section(load, some, index, { facts, styles }));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>pointsman simulate</title><style>${STYLE}</style></head><body>
<h1>pointsman simulate</h1>
<p class="soft">${escaped(situationText(facts))}</p>
<nav aria-label="loads">${byLoad.map(([load], index) => `<a href="#load-${index}">${escaped(load)}</a>`).join("")}</nav>
${overallTable(groups, facts.baseline)}
${sections.join("\n")}
<script>${SCRIPT}</script></body></html>
`;
}

interface PageParts {
  readonly facts: ReportFacts;
  readonly styles: SeriesStyles;
}

function section(load: string, groups: readonly Group[], index: number, { facts, styles }: PageParts): string {
  // Where there are several rates, the one nearest to the load's own stands for it.
  const main = groups.toSorted((a, b) => Math.abs(a.rate - 1) - Math.abs(b.rate - 1))[0];
  if (!main) return "";
  const charts = [
    ratioChart(main, facts.baseline, styles),
    ttftChart(main, styles),
    goodputChart(groups, styles),
  ].flatMap((chart) => (chart === undefined ? [] : [`<figure>${chart}</figure>`]));
  const maps = loadMaps(main).map((map) => `<figure>${map}</figure>`);
  return `<section id="load-${index}"><h2>${escaped(load)}</h2>
<div class="charts">${charts.join("")}</div>
${groups.map((group) => table(group, facts.baseline)).join("\n")}
<h3>Requests in flight at each worker over time</h3>
<p class="soft">A row for each worker, from the first request to the end; the stronger the color, the more. All maps have the same colors; the first seed.</p>
<div class="maps">${maps.join("")}</div></section>`;
}

function table(group: Group, baseline: string): string {
  const heads = headsOf(baseline).map(
    ({ head, means }) => `<th scope="col"><abbr title="${escaped(means)}">${escaped(head)}</abbr></th>`,
  );
  const rows = fastestFirst(group).map((cell) => {
    const cells = figuresOf(cell, group, baseline).map((text) => `<td>${escaped(text)}</td>`);
    return `<tr${cell.policy === baseline ? ' class="base"' : ""}><td>${escaped(cell.policy)}</td>${cells.join("")}</tr>`;
  });
  return `<p class="head">${escaped(headline(group))}</p><div class="scroll" tabindex="0" role="region" aria-label="figures of ${escaped(group.load)}"><table><thead><tr><th scope="col">policy</th>${heads.join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function overallTable(groups: readonly Group[], baseline: string): string {
  const rows = groups.length > 1 ? overall(groups, baseline) : [];
  if (rows.length === 0) return "";
  const body = rows.map(
    ({ policy, mean, worst }) => `<tr><td>${escaped(policy)}</td><td>${short(mean)}</td><td>${short(worst)}</td></tr>`,
  );
  return `<h2>All loads</h2><p>Mean TTFT divided by that of ${escaped(baseline)}: geometric mean over the loads, and the worst one.</p><div class="scroll" tabindex="0" role="region" aria-label="all loads"><table style="max-width:480px"><thead><tr><th scope="col">policy</th><th scope="col">geometric mean</th><th scope="col">worst</th></tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

/** The situation of the runs as a sentence. */
function situationText({ version, jobs }: ReportFacts): string {
  const [job] = jobs;
  if (!job) return `version ${version}`;
  const { workers, prefillWorkers, kvTokens, slowness, slo } = job;
  const parts = [
    `version ${version}`,
    counted(new Set(jobs.map(({ seed }) => seed)).size, "seed"),
    counted(job.gateways, "gateway"),
    ...(workers === undefined ? [] : [counted(workers, "worker")]),
    ...(prefillWorkers === 0
      ? []
      : [`${counted(prefillWorkers, "worker")} for prefill only, hand-over ${job.handOverUs} us a token`]),
    ...(kvTokens === undefined ? [] : [`KV caches of ${kvTokens} tokens`]),
    ...(slowness === 1 ? [] : [`steps take ${slowness} times as long`]),
    ...(slo === undefined ? [] : [`SLO ${slo.ttftMs} ms to the first token and ${slo.tpotMs} ms for each other one`]),
    ...(job.newsMs === undefined ? [] : [`news ${job.newsMs} ms late`]),
    ...(job.model === undefined ? [] : [`requests for ${job.model}`]),
    ...(job.isClosedLoop ? ["recorded sessions wait for their answers"] : []),
    job.isStream ? "streams" : "whole answers",
    ...(job.reportsUsage ? [] : ["engines report no usage"]),
    ...(job.kvReportFactor === 1 ? [] : [kvReportText(job.kvReportFactor)]),
    ...job.faults.map(({ kind, worker, atMs }) => `${kind} of worker ${worker} at ${atMs / 1000} s`),
  ];
  return `${parts.join(" · ")}.`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function kvReportText(factor: number | undefined): string {
  return factor === undefined
    ? "engines do not report their KV cache"
    : `engines report ${factor} times their KV cache`;
}
