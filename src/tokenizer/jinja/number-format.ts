import { exponentOf } from "./text.ts";

/** Most digits after the point that JavaScript writes. */
const MAX_DIGITS = 100;

/** A number with this many digits after the point. Like Python, it rounds halves to the even digit. */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(Math.min(digits, MAX_DIGITS));
  if (Math.abs(value) >= 2 ** 52 || digits > 60) return text;
  // The following digits show whether the number is exactly half.
  const exact = value.toFixed(digits + 30);
  const [whole, rest] = [exact.slice(0, -30), exact.slice(-30)];
  if (!/^50*$/.test(rest)) return text;
  // JavaScript rounds halves away from zero.
  const down = digits === 0 ? whole.slice(0, -1) : whole;
  return Number(down.at(-1)) % 2 === 0 ? down : text;
}

/** `1.50e+00`. */
function exponential(value: number, digits: number): string {
  const [mantissa = "", exponent = "0"] = value.toExponential(Math.min(digits, MAX_DIGITS)).split("e");
  return `${mantissa}e${exponentOf(Number(exponent))}`;
}

/** `%g`: this many significant digits, with an exponent for very large or small numbers. */
export function general(value: number, precision: number, keepsZeros = false): string {
  const digits = Math.max(1, Math.min(precision, MAX_DIGITS));
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  if (exponent < -4 || exponent >= digits) {
    const [mantissa = "", tail] = exponential(value, digits - 1).split("e");
    return `${keepsZeros ? mantissa : withoutZeros(mantissa)}e${tail}`;
  }
  const text = fixed(value, Math.max(0, digits - 1 - exponent));
  return keepsZeros ? text : withoutZeros(text);
}

function withoutZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Writes digits in groups of three. */
export function grouped(digits: string, separator: string): string {
  return digits.replace(/^\d+/, (whole) => {
    const first = whole.length % 3 || 3;
    return whole.slice(0, first) + whole.slice(first).replaceAll(/\d{3}/g, (three) => separator + three);
  });
}

/** A float by the letter of its format, without its sign. undefined for a letter that floats do not have. */
export function floatDigits(value: number, letter: string, precision: number): string | undefined {
  const size = Math.abs(value);
  const lower = letter.toLowerCase();
  if (!Number.isFinite(size)) return Number.isNaN(size) ? "nan" : "inf";
  const text =
    lower === "f"
      ? fixed(size, precision)
      : lower === "e"
        ? exponential(size, precision)
        : lower === "g"
          ? general(size, precision)
          : lower === "%"
            ? `${fixed(size * 100, precision)}%`
            : undefined;
  return text !== undefined && letter !== lower ? text.toUpperCase() : text;
}

const RADIX: Readonly<Record<string, number>> = { d: 10, i: 10, u: 10, x: 16, X: 16, o: 8, b: 2 };
const PREFIXES: Readonly<Record<string, string>> = { x: "0x", X: "0X", o: "0o", b: "0b" };

/** An integer by the letter of its format, without its sign. undefined for a letter that integers do not have. */
export function integerDigits(value: number | bigint, letter: string, hasPrefix: boolean): string | undefined {
  const radix = RADIX[letter];
  if (radix === undefined) return undefined;
  const size = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  const digits = size.toString(radix);
  return (hasPrefix ? (PREFIXES[letter] ?? "") : "") + (letter === "X" ? digits.toUpperCase() : digits);
}
