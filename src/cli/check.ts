import { Document, isMap, isPair, isScalar, isSeq, type Node } from "yaml";
import type { LoadedConfig } from "../config/load.ts";
import { shown } from "../config/shown-config.ts";
import { camelCase } from "../util/case.ts";
import { loadFromArguments } from "./load-from-arguments.ts";
import type { ServeArguments } from "./read-words.ts";

/** `pointsman config check`: prints the resulting configuration as YAML, with where each value is from. Throws ConfigError. */
export async function check(given: ServeArguments): Promise<void> {
  const loaded = loadFromArguments(given);
  for (const notice of loaded.notices) process.stderr.write(`pointsman: ${notice}\n`);
  process.stdout.write(configPage(loaded));
}

/** The configuration in the form of a file, with secrets redacted. A comment at each option and worker says where it is from. */
export function configPage({ config, originOf }: Pick<LoadedConfig, "config" | "originOf">): string {
  const page = new Document(shown(config));
  const options = isMap(page.contents) ? page.contents.items : [];
  for (const pair of options) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    const key = camelCase(String(pair.key.value));
    if (isScalar(pair.value)) pair.value.comment = ` ${originOf([key])}`;
    else if (!isSeq(pair.value) || pair.value.items.length === 0) pair.key.commentBefore = ` ${originOf([key])}`;
    else for (const [index, item] of pair.value.items.entries()) noteAt(item, originOf([key, index]));
  }
  return page.toString();
}

function noteAt(item: unknown, origin: string): void {
  if (isScalar(item)) item.comment = ` ${origin}`;
  else if (isNode(item)) item.commentBefore = ` ${origin}`;
}

function isNode(item: unknown): item is Node {
  return isMap(item) || isSeq(item);
}
