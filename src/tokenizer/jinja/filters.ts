import { LIST_FILTERS } from "./list-filters.ts";
import { NUMBER_FILTERS } from "./number-filters.ts";
import { SELECT_FILTERS } from "./select-filters.ts";
import type { Filter } from "./filter.ts";
import { TEXT_FILTERS } from "./text-filters.ts";

/** Jinja's filters by name, without those that make HTML for browsers (urlize, xmlattr) and `random`. */
export const FILTERS: ReadonlyMap<string, Filter> = new Map([
  ...TEXT_FILTERS,
  ...NUMBER_FILTERS,
  ...LIST_FILTERS,
  ...SELECT_FILTERS,
]);
