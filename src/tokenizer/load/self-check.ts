import type { AddedToken } from "../bpe/added-tokens.ts";

/** Texts that are hard for tokenizers: white space of all kinds, digits of all scripts, marks, case, broken text, code, very long words. */
const NASTY: readonly string[] = [
  "",
  " ",
  "  ",
  "\n",
  "\r\n\r\n",
  "\t\t x\t",
  " \n \n\n  a",
  "a \u00a0\u2003\u3000\u1680\u0085b\u000b\u000c\u001c\u001fc",
  "\ufeffBOM \ufeff inside\ufeff",
  "\u200b\u200c\u200d\u2060\u00ad zero width",
  "Hello, world! It's the engine's; we'll, they'd, I'M, YOU'RE, 'S, '\u017f, '\u212a x'T",
  "don\u2019t \u2018quote\u2019 'tis 're'll've",
  "camelCase HTTPServer iPhone XMLHttpRequest snake_case SCREAMING \u01c5eungla \u02b0modifier \u1d2c\u16ee",
  "1 12 123 1234 12345 1234567890 1,234.56 0x1F 1e-9 \u0661\u0662\u0663\u0664 \u0967\u0968\u0969 \u2460\u2461 \u216b \u00bd \u00b2\u00b3 \u{1d7d8}\u{1d7d9} 三百",
  "if (x<y) { return a[i]+=b->c; } // comment\n\t\t/* ** */ #include <stdio.h>\r\n    def f(self, *args):\n        pass\n\n\n",
  "https://example.com/a/b?c=d&e=%20f#g user@example.org C:\\dir\\file.txt ~/x/../y",
  "!!! ??? ... --- ===== /// \\\\\\ |||| ``` *** ((())) [[]] {{}} <<>> \u2014 \u2026 \u00bf\u00a1 \u20ac\u00a3\u00a5 \u2192 \u2200x\u2208\u211d",
  "caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m A\u030a \u212b \ufb01 \u1e9b\u0323 n\u0303 q\u0307\u0323 \u1100\u1161\u11a8 \uac01 \u0344",
  "\u4f60\u597d\uff0c\u4e16\u754c\uff01 \u6f22\u5b57\u304b\u306a\u30ab\u30ca \ud55c\uad6d\uc5b4 \u3007 \u{20000}\u{2a6d6} \u9fa5\u9fa6 \uff11\uff12\uff13 \uff76\uff85",
  "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0928\u092e\u0938\u094d\u0924\u0947 \u0f56\u0f7c\u0f51 \u10d2\u10d0\u10db",
  "\u{1f600}\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u{1f1e9}\u{1f1ea}\u{1f44d}\u{1f3fd}\u2764\ufe0f\u{1f3f4}\u{e0067}\u{e007f} \u263a",
  "lone \ud800 high, \udc00 low, \ud83d",
  "\u0000\u0001\u0007\u001b[31mred\u001b[0m\u007f\u0080\u009f\ufffd\ufffe\uffff\u{10ffff}\ue000",
  "a\u0300\u0301\u0302\u0303\u0304\u0305 Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d \u0300 start",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ABABABABABABABABABABABABABABABABABABAB",
  "                                                                                  x",
  "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n \n \n",
  "<|im_start|>user\nhi<|im_end|>\n<|im_start|",
  "<|begin_of_text|><|eot_id|> <s></s> <bos> [INST] <<SYS>> <think>\n</think> <tool_call>{}</tool_call> <\uff5cUser\uff5c>",
];

/** Long runs, which show a wrong order of merges. */
function runs(): string[] {
  const units = ["a", "ab", "\u00e9", "\u4f60", "=", " ", "\n", "0", "xX", "\u{1f600}", "lo", "the"];
  return units.flatMap((unit) => [unit.repeat(67), unit.repeat(2500)]);
}

/** Many short texts of pieces in a pseudo-random order that is always the same. */
function mixtures(): string[] {
  const pieces = NASTY.flatMap((text) => text.match(/.{1,7}/gsu) ?? []);
  let state = 0x2545f491;
  const random = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  return Array.from({ length: 400 }, () =>
    Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)] ?? "").join(random(3) === 0 ? " " : ""),
  );
}

function aroundTokens(added: readonly AddedToken[]): string[] {
  const step = Math.max(1, Math.floor(added.length / 60));
  return added
    .filter((_, index) => index % step === 0)
    .flatMap(({ content }) => [content, `x ${content} y`, `${content}${content}\n ${content.slice(0, -1)} ${content}`]);
}

/** Texts for the self-check: the TypeScript encoder must give the native encoder's ids for all of them before it is used for a model. */
export function selfCheckTexts(added: readonly AddedToken[]): readonly string[] {
  return [...NASTY, ...runs(), ...mixtures(), ...aroundTokens(added), NASTY.join("\n")];
}
