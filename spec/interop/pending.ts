/** What is missing on this machine, such as an interpreter or a folder of messages. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError'
  /** Whether continuous integration does without it too. */
  readonly optional: boolean

  constructor(message: string, { optional = false }: { readonly optional?: boolean } = {}) {
    super(message)
    this.optional = optional
  }
}

/**
 * Runs `prepare` in a hook. Where it finds something missing, the specs of the hook's suite are pending, with one line
 * saying why; with `CI=true` they fail instead, unless it is optional.
 */
export async function preparedOrPending<T>(context: Mocha.Context, prepare: () => Promise<T>): Promise<T> {
  try {
    return await prepare()
  } catch (error) {
    if (!(error instanceof UnavailableError) || (process.env['CI'] === 'true' && !error.optional)) throw error
    console.log(`    pending: ${error.message}`)
    return context.skip()
  }
}
