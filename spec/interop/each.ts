/** One test over many messages: all are tried, and the failure names those that failed. */

const SHOWN = 5

/** Runs `work` for every item, `width` at a time; rejects at the end when any failed. */
export async function forEach<T>(
  items: readonly T[],
  width: number,
  describe: (item: T) => string,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const failures: { item: T; cause: unknown }[] = []
  const queue = items.values()
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      await work(item).catch((cause: unknown) => {
        failures.push({ item, cause })
      })
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  const [first] = failures
  if (first === undefined) return
  const lines = failures.slice(0, SHOWN).map(({ item, cause }) => `  ${describe(item)}: ${String(cause)}`)
  if (failures.length > SHOWN) lines.push('  …')
  throw new Error(`${failures.length} of ${items.length} failed\n${lines.join('\n')}`, { cause: first.cause })
}
