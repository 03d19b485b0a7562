/** What keyrings of key agreement have in common, whoever holds the private keys: framework/key-agreement-schemas.md. */
import type { EcdhKey } from './ecdh-key.ts'
import type { EcdhParties } from './ecdh-provider-info.ts'
import type { EcdhChoice } from './ecdh-wrapping.ts'

/** The options of each schema that name keys. */
export type EcdhSchemas = Readonly<
  Record<string, { readonly needed: readonly string[]; readonly optional?: readonly string[] }>
>

/**
 * Exactly the keys of the schema: one too many is a misunderstanding of what the keyring will do.
 *
 * @throws TypeError where the schema is unknown, or a key is missing or too many.
 */
export function checkSchemaKeys(schemas: EcdhSchemas, options: { readonly schema: string }): void {
  const { schema } = options
  const known = Object.hasOwn(schemas, schema) ? schemas[schema] : undefined
  if (known === undefined) {
    throw new TypeError(`"schema" expected one of ${Object.keys(schemas).join(', ')}, got ${JSON.stringify(schema)}`)
  }
  const { needed, optional = [] } = known
  const given: Readonly<Record<string, unknown>> = { ...options }
  const all = Object.values(schemas).flatMap((each) => [...each.needed, ...(each.optional ?? [])])
  for (const option of new Set(all)) {
    if (given[option] === undefined ? !needed.includes(option) : [...needed, ...optional].includes(option)) continue
    throw new TypeError(`the schema "${schema}" ${needed.includes(option) ? 'needs' : 'takes no'} "${option}"`)
  }
}

/**
 * Whom the holder of `own` agrees with on a data key: always `other`, whichever of the two sent it; or without an `other`,
 * whoever sent it to `own`.
 */
export function otherParty({ sender, recipient }: EcdhParties, own: Buffer, other: EcdhKey | undefined): EcdhChoice {
  if (other === undefined) return recipient.equals(own) ? { other: sender } : { skipped: 'another recipient' }
  const sent = sender.equals(own) && recipient.equals(other.point)
  const received = sender.equals(other.point) && recipient.equals(own)
  return sent || received ? { other: other.key } : { skipped: 'another sender or recipient' }
}
