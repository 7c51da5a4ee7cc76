/** Lets everything run that waits for promises only, and for no timer and no socket. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
}
