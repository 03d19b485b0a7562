/** Works on many items at once, but never on more than are allowed. */

/**
 * What comes of each item, in the order in which they are done. The list is asked for no more than is worked on.
 *
 * Where the list or the work fails, or the signal is aborted, no more is begun; what was begun is waited for and given all
 * the same, and then the error is thrown. Whoever stops reading early waits for it too.
 *
 * @param work what is done with an item; a failure that is about the item alone is an outcome too
 * @param concurrency how many items are worked on at once
 * @example for await (const outcome of transformEach(listFolder('photos'), work, { concurrency: 4 })) report.add(outcome)
 */
export async function* transformEach<Item, Outcome extends object>(
  items: AsyncIterable<Item>,
  work: (item: Item) => Promise<Outcome>,
  { concurrency, signal }: { readonly concurrency: number; readonly signal?: AbortSignal },
): AsyncGenerator<Outcome, void> {
  const iterator = items[Symbol.asyncIterator]()
  const outcomes: Outcome[] = []
  let failure: { readonly error: unknown } | undefined
  let [stopped, ended] = [false, false]
  let wake: () => void = () => undefined

  const worker = async (): Promise<void> => {
    const mayGoOn = (): boolean => !stopped && failure === undefined && signal?.aborted !== true
    try {
      while (mayGoOn()) {
        const next = await iterator.next()
        if (next.done === true || !mayGoOn()) return
        outcomes.push(await work(next.value))
        wake()
      }
    } catch (error) {
      failure ??= { error }
    }
  }

  const workers = Promise.all(Array.from({ length: concurrency }, worker)).finally(() => {
    ended = true
    wake()
  })
  try {
    for (;;) {
      for (let outcome = outcomes.shift(); outcome !== undefined; outcome = outcomes.shift()) yield outcome
      if (ended) break
      await new Promise<void>((resolve) => (wake = resolve))
    }
    if (failure !== undefined) throw failure.error // it is set by the workers
  } finally {
    stopped = true
    await workers
    await iterator.return?.()
  }
}
