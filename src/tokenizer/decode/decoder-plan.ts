import { isRecord, type AnyRecord } from "../../util/objects.ts";

/** How tokens become text, as far as one token at a time tells. May cross threads. */
export type DecoderPlan =
  | { readonly kind: "byte-level" }
  | {
      readonly kind: "pieces";
      /** Strings that are replaced in each token, in order. */
      readonly replacements: readonly { readonly from: string; readonly to: string }[];
      /** Whether `<0xE4>` stands for a byte. */
      readonly hasByteFallback: boolean;
      /** Spaces that are taken from the beginning of the whole text at most. */
      readonly stripsAtStart: number;
    };

/** Reads `decoder` of tokenizer.json. undefined: one that needs more than a token at a time, as of models that do not generate. */
export function readDecoder(value: unknown): DecoderPlan | undefined {
  if (!isRecord(value)) return undefined;
  const steps = value["type"] === "Sequence" && Array.isArray(value["decoders"]) ? value["decoders"] : [value];
  if (!steps.every(isRecord)) return undefined;
  if (steps.length === 1 && steps[0]?.["type"] === "ByteLevel") return { kind: "byte-level" };
  return readPieces(steps);
}

function readPieces(steps: readonly AnyRecord[]): DecoderPlan | undefined {
  const replacements: { from: string; to: string }[] = [];
  let hasByteFallback = false;
  let isFused = false;
  let stripsAtStart = 0;
  for (const step of steps) {
    switch (step["type"]) {
      case "Replace": {
        const from = isRecord(step["pattern"]) ? step["pattern"]["String"] : undefined;
        const to = step["content"];
        if (typeof from !== "string" || typeof to !== "string" || hasByteFallback || isFused) return undefined;
        replacements.push({ from, to });
        break;
      }
      case "Metaspace": {
        const mark = step["replacement"];
        if (typeof mark !== "string") return undefined;
        replacements.push({ from: mark, to: " " });
        if (step["prepend_scheme"] !== "never" && step["add_prefix_space"] !== false) stripsAtStart = 1;
        break;
      }
      case "ByteFallback":
        hasByteFallback = true;
        break;
      case "Fuse":
        isFused = true;
        break;
      case "Strip":
        if (!isFused || step["content"] !== " " || Number(step["stop"]) > 0) return undefined;
        stripsAtStart = Number(step["start"]);
        break;
      default:
        return undefined;
    }
  }
  return { kind: "pieces", replacements, hasByteFallback, stripsAtStart };
}
