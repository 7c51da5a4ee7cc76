import { expect, test } from "bun:test";
import { RequestRecord } from "../observability/request-record.ts";
import type { Policy } from "../policy/policy.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { setUpFleet, type FleetSetup } from "../../test/support/fleet.ts";
