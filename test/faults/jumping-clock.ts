/** Loaded before the program: its wall clock jumps, each few milliseconds, by hours and by years, back and forth. */
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const JUMPS_MS = [0, HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS];
const EACH_MS = 7;

const RealDate = Date;
const realNow = Date.now.bind(Date);

function jumpedNow(): number {
  return realNow() + (JUMPS_MS[Math.floor(performance.now() / EACH_MS) % JUMPS_MS.length] ?? 0);
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given, newTarget) =>
    Reflect.construct(target, given.length === 0 ? [jumpedNow()] : given, newTarget),
  get: (target, name, receiver) => (name === "now" ? jumpedNow : Reflect.get(target, name, receiver)),
});
