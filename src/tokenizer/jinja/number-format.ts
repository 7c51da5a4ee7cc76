import { exponentOf } from "./text.ts";

/** The most digits behind the point that JavaScript writes. */
const MAX_DIGITS = 100;

/** A number with so many digits behind the point; what lies in the middle goes to the even digit, as in Python. */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(Math.min(digits, MAX_DIGITS));
  if (Math.abs(value) >= 2 ** 52 || digits > 60) return text;
  // Whether it lies in the middle is seen in the digits that follow.
  const exact = value.toFixed(digits + 30);
  const [whole, rest] = [exact.slice(0, -30), exact.slice(-30)];
  if (!/^50*$/.test(rest)) return text;
  // JavaScript goes away from zero.
  const down = digits === 0 ? whole.slice(0, -1) : whole;
  return Number(down.at(-1)) % 2 === 0 ? down : text;
}

/** `1.50e+00`. */
function exponential(value: number, digits: number): string {
  const [mantissa = "", exponent = "0"] = value.toExponential(Math.min(digits, MAX_DIGITS)).split("e");
  return `${mantissa}e${exponentOf(Number(exponent))}`;
}

/** `%g`: so many digits that say something, and an exponent where the number is very large or small. */
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

/** Digits in groups of three. */
export function grouped(digits: string, separator: string): string {
  return digits.replace(/^(\d+)/, (whole) => whole.replace(/\B(?=(?:\d{3})+$)/g, separator));
}

/** A float by the letter of its format, without its sign. Undefined for a letter that is none of floats. */
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

/** An integer by the letter of its format, without its sign. Undefined for a letter that is none of integers. */
export function integerDigits(value: number | bigint, letter: string, hasPrefix: boolean): string | undefined {
  const radix = RADIX[letter];
  if (radix === undefined) return undefined;
  const size = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  const digits = size.toString(radix);
  return (hasPrefix ? (PREFIXES[letter] ?? "") : "") + (letter === "X" ? digits.toUpperCase() : digits);
}
