import { isRecord, type AnyRecord } from "../../util/objects.ts";

/** How single tokens become text. It can be sent to other threads. */
export type DecoderPlan =
  | { readonly kind: "byte-level" }
  | {
      readonly kind: "pieces";
      /** Strings that are replaced in each token, in order. */
      readonly replacements: readonly { readonly from: string; readonly to: string }[];
      /** Whether `<0xE4>` stands for a byte. */
      readonly hasByteFallback: boolean;
      /** Most spaces that are removed from the beginning of the whole text. */
      readonly stripsAtStart: number;
    };

/** Reads `decoder` of tokenizer.json. Returns undefined for decoders that need more than one token at a time; models that generate have none of these. */
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
