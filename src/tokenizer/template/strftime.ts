const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

function padded(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

function dayOfYear(date: Date): number {
  const ms = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0);
  return ms / 86_400_000;
}

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => (DAYS[date.getDay()] ?? "").slice(0, 3),
  A: (date) => DAYS[date.getDay()] ?? "",
  b: (date) => (MONTHS[date.getMonth()] ?? "").slice(0, 3),
  B: (date) => MONTHS[date.getMonth()] ?? "",
  d: (date) => padded(date.getDate(), 2),
  e: (date) => String(date.getDate()).padStart(2, " "),
  f: (date) => padded(date.getMilliseconds() * 1000, 6),
  H: (date) => padded(date.getHours(), 2),
  I: (date) => padded(date.getHours() % 12 || 12, 2),
  j: (date) => padded(dayOfYear(date), 3),
  m: (date) => padded(date.getMonth() + 1, 2),
  M: (date) => padded(date.getMinutes(), 2),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  S: (date) => padded(date.getSeconds(), 2),
  y: (date) => padded(date.getFullYear() % 100, 2),
  Y: (date) => String(date.getFullYear()),
  F: (date) => strftime(date, "%Y-%m-%d"),
  T: (date) => strftime(date, "%H:%M:%S"),
  "%": () => "%",
};

/** Python's `strftime` in local time and English; `%-d` has no leading zero. Unknown directives stay unchanged. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, dash: string, letter: string) => {
    const text = DIRECTIVES[letter]?.(date);
    if (text === undefined) return whole;
    return dash === "" ? text : text.replace(/^[0 ]+(?=.)/, "");
  });
}
