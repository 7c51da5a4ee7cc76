import { isRecord } from "../util/objects.ts";

/** A worker as `GET /workers` shows it. */
export type WorkerView = Readonly<Record<string, unknown>>;

/** The workers of an answer of `GET /workers`. */
export function viewsOf(answer: WorkerView): WorkerView[] {
  return Array.isArray(answer["workers"]) ? answer["workers"].filter(isRecord) : [];
}

/** The worker's state in a word, with what keeps requests from it. */
export function stateOf({ status, cordoned, trouble }: WorkerView): string {
  const words = [
    typeof status === "string" && status !== "" ? status : "-",
    cordoned === true ? "cordoned" : "",
    typeof trouble === "string" ? trouble : "",
  ];
  return words.filter((word) => word !== "").join(",");
}
