/** Looking for key bytes where none may be. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'

/** Asserts that nothing that can be printed of an error holds any of these secrets, in any usual notation. */
export function assertLeaksNothing(error: unknown, ...secrets: Buffer[]): void {
  assert.ok(error instanceof Error)
  const shown = [
    inspect(error, { depth: 10, showHidden: true, maxArrayLength: null, maxStringLength: null }),
    error.message,
    error.stack ?? '',
    JSON.stringify(error),
  ].join('\n')
  for (const secret of secrets) {
    const spaced = secret.toString('hex').replace(/..(?=.)/g, '$& ')
    const decimal = [...secret].join(',')
    const notations = [
      ...(['hex', 'base64', 'base64url', 'latin1', 'utf8'] as const).map((name) => secret.toString(name)),
    ]
    for (const notation of [...notations, spaced, decimal, decimal.replaceAll(',', ', ')]) {
      assert.ok(!shown.includes(notation), 'an error holds key bytes')
    }
  }
}
