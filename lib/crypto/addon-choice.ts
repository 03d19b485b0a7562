/** Whether the addon of native/ serves, or node:crypto alone: chosen once a process. */
import { messageOf } from '../errors.ts'
import { type NativeAddon, loadNativeAddon } from './native-addon.ts'

/**
 * The addon, or `undefined` where node:crypto is asked for. Unless one is asked for, the addon where it loads, and else
 * node:crypto without a word.
 *
 * @param asked the value of the environment variable ESDK_ENGINE
 * @throws RangeError where there is no such engine; Error where the addon is asked for and does not load.
 */
export function chooseAddon(
  asked: string | undefined,
  load: () => NativeAddon = loadNativeAddon,
): NativeAddon | undefined {
  const wanted = asked === '' ? undefined : asked
  if (wanted !== undefined && wanted !== 'native' && wanted !== 'node') {
    throw new RangeError(`"ESDK_ENGINE" expected native or node, got ${JSON.stringify(wanted)}`)
  }
  if (wanted === 'node') return undefined
  try {
    return load()
  } catch (cause) {
    if (wanted === undefined) return undefined
    const reason = messageOf(cause)
    throw new Error(`"ESDK_ENGINE" is native, but the native engine can't be loaded: ${reason}`, { cause })
  }
}

let choice: { readonly addon: NativeAddon | undefined } | undefined

/** The addon that serves in this process. @throws as {@link chooseAddon} does. */
export function chosenAddon(): NativeAddon | undefined {
  return (choice ??= { addon: chooseAddon(process.env['ESDK_ENGINE']) }).addon
}
