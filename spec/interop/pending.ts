/** What is missing on this machine, such as an interpreter or a folder of messages. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError'
}

/**
 * Runs `prepare` in a hook. Where it finds something missing, the specs of the hook's suite are pending, with one line
 * saying why; with `CI=true` they fail instead.
 */
export async function preparedOrPending<T>(context: Mocha.Context, prepare: () => Promise<T>): Promise<T> {
  try {
    return await prepare()
  } catch (error) {
    if (!(error instanceof UnavailableError) || process.env['CI'] === 'true') throw error
    console.log(`    pending: ${error.message}`)
    return context.skip()
  }
}
