/**
 * Code points that JavaScript (Unicode 17) and the native tokenizer (an older Unicode) treat differently in regular expressions or
 * normal forms. Most are letters that one of the two does not know yet. `test/tokenizer/` computes them again.
 */
const RANGES = [
  "295 7fd 88f-89f 8ca-8d3 9fe c3c c5c cdc d3b-d3c eba 1715 1abf-1aeb 1df6-1dfa 20c1 2b96 32ff a7ce-a7d4",
  "a7f1-a7f4 a82c ab69 fbc3-fbd2 fd90-fd91 fdc8-fdce 105c9 105e4 10781-107ba 10940-10959 10d24-10d27",
  "10d69-10d6d 10eab-10eac 10ec5-10ed8 10efa-10eff 10f46-10f50 10f82-10f85 11070 1133b 11383-11391 113c2-113d0",
  "1145e 11839-1183a 11938-11943 119e0 11a34-11a47 11a99 11b60-11b67 11d42-11d45 11d97 11db0-11de9 11f41-11f42",
  "1611e-1612f 16d67-16d6a 16ea0-16ed3 16ff0-16ff6 187f8-187ff 18d09-18d1e 18d80-18df2 1ccd6-1ccfc 1ceba-1cef0",
  "1e030-1e06d 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6c0-1e6ff 1f16c 1f6d8 1f777-1f77a",
  "1f8d0-1f8d8 1fa54-1fa57 1fa8a-1fa8e 1fac8-1facd 1faea-1faef 1fbf0-1fbfa 2b73a-2b73f 2cea2-2cead 323b0-33479",
];

const NEWER = new RegExp(
  `[${RANGES.join(" ")
    .replaceAll(/[0-9a-f]+/g, "\\u{$&}")
    .replaceAll(" ", "")}]`,
  "u",
);

/** Whether a text has characters that the native tokenizer may treat differently. */
export function hasNewerCharacters(text: string): boolean {
  return NEWER.test(text);
}
