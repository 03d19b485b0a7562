/** Random bytes of OpenSSL's generator: through the addon, a few take a quarter of what node:crypto needs. */
import { randomBytes } from 'node:crypto'
import { chosenAddon } from './addon-choice.ts'
import type { NativeAddon } from './native-addon.ts'

/** Fresh random bytes, at most 1024. */
export function fewRandomBytes(count: number, addon: NativeAddon | undefined = chosenAddon()): Buffer {
  if (addon === undefined) return randomBytes(count)
  const bytes = Buffer.allocUnsafe(count)
  addon.random(bytes)
  return bytes
}
