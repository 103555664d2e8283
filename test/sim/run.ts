/**
 * Runs one scenario from one seed. Always true: whatever fails, an invariant, a bound or the core itself, comes back as words.
 * Called by the command and by tests.
 */
import type { Scenario } from './scenarios.js';
import { Stage } from './stage.js';
import { INVARIANTS } from './watched.js';
import type { World } from './world.js';

export interface Outcome {
  scenario: string;
  seed: number;
  /** What is wrong; undefined where nothing. */
  failed: string | undefined;
  /** How long each agreeing took, virtual ms. */
  took: { what: string; ms: number }[];
  /** Virtual time, and time of the processor, ms. */
  lasted: number;
  cost: number;
  /** Bytes a second while it was quiet. */
  quiet: number[];
}

/** @param onWorld told of the world once its play is over, or has failed */
export function run(
  scenario: Scenario,
  seed: number,
  trace?: (line: string) => void,
  onWorld?: (world: World) => void,
): Outcome {
  const begin = process.cpuUsage();
  const { peers, files, network, size } = scenario;
  let at = (): number => 0;
  const line = trace && ((text: string): void => trace(`${String(Math.round(at())).padStart(8)} ${text}`));
  const stage = new Stage({ ...network, seed, peers, files, large: size === 'large', ...(line && { trace: line }) });
  at = () => stage.at;
  const judges = scenario.holds.map((name) => [name, INVARIANTS[name].watch(stage)] as const);
  let failed: string | undefined;
  try {
    scenario.play(stage);
    for (const [name, judge] of judges) {
      const what = judge();
      if (what) throw new Error(`${name}: ${what}`);
    }
  } catch (thrown) {
    failed = isOfCore(thrown) ? String((thrown as Error).stack) : (thrown as Error).message;
  }
  onWorld?.(stage.world);
  const { user, system } = process.cpuUsage(begin);
  const cost = (user + system) / 1000;
  return { scenario: scenario.name, seed, failed, took: stage.took, lasted: stage.at, cost, quiet: stage.quiet };
}

/** An error that nobody meant to throw. */
function isOfCore(thrown: unknown): boolean {
  return thrown instanceof TypeError || thrown instanceof RangeError || thrown instanceof ReferenceError;
}
