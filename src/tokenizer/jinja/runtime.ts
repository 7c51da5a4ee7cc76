import type { Meter } from "./meter.ts";
import type { CallArguments, Value } from "./values.ts";

/** What filters and tests may ask of the run that they are in. */
export interface Runtime {
  readonly meter: Meter;
  filter(name: string, value: Value, args: CallArguments): Value;
  test(name: string, value: Value, args: CallArguments): boolean;
}
