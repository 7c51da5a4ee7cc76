import { JsonFields } from "../protocol/json/json-fields.ts";
import { parseJsonObject } from "../protocol/json/json.ts";
import type { StartProfileRequest } from "../transport/grpc/generated/engine/common.ts";

/** What an operator wants of engines' profilers. */
export interface ProfileOptions {
  /** The operator's JSON, for engines with a page. */
  readonly json: Uint8Array;
  /** The members that the methods of engines have. */
  readonly message: Partial<StartProfileRequest>;
}

/**
 * Reads the body of `/start_profile`. SGLang's page defines its members; others pass to pages unchanged. Throws invalid_request and what
 * `parseJsonObject` throws.
 */
export function readProfileOptions(json: Uint8Array): ProfileOptions {
  const fields = new JsonFields(parseJsonObject(json), "");
  return {
    json,
    message: {
      outputDir: fields.string("output_dir"),
      startStep: fields.integer("start_step", { least: 0 }),
      numSteps: fields.integer("num_steps", { least: 1 }),
      activities: [...(fields.strings("activities") ?? [])],
      withStack: fields.boolean("with_stack"),
      recordShapes: fields.boolean("record_shapes"),
      profileByStage: fields.boolean("profile_by_stage") ?? false,
    },
  };
}
