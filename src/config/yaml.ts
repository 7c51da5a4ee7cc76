import type * as Yaml from "yaml";
import { lazy } from "../util/lazy.ts";

/** The library that reads YAML. It takes 4 MB of memory, so it is loaded with the first file: many gateways have none. */
export const yaml = lazy((): typeof Yaml => require("yaml"));
