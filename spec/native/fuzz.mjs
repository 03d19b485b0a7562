/** Calls a sanitized addon with anything: node spec/native/fuzz.mjs ADDON CALLS. Plain JavaScript: it runs without a loader. */
import { generateKeyPairSync } from 'node:crypto'
import { createRequire } from 'node:module'
import process from 'node:process'

const { structuredClone } = globalThis

const addon = createRequire(import.meta.url)(process.argv[2])
const calls = Number(process.argv[3])
const NO_SIGNATURE = 'OpenSSL could not sign'
const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'der',
})

let seed = 7
function draw(below) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return (seed >>> 8) % below
}

function pick(list) {
  return list[draw(list.length)]
}

/** Memory of its own, so that one byte too far is seen. */
function memory(length) {
  const bytes = new Uint8Array(new ArrayBuffer(length))
  bytes.fill(draw(256))
  return bytes
}

function detached(length) {
  const bytes = memory(length)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

const handles = []
const shared = memory(4096)

function value() {
  switch (draw(9)) {
    case 0:
      return pick([undefined, null, NaN, -1, 0.5, 2 ** 53, 1n, 'text', {}, Symbol('s'), new Float32Array(4), () => 1])
    case 1:
      return draw(300)
    case 2:
      return 0xffffffff - draw(5)
    case 3:
      return detached(draw(100))
    case 4:
      return shared.subarray(draw(4096), draw(4096))
    case 5:
      return memory(draw(300))
    case 6:
      return memory(pick([16, 24, 32, 72]))
    default:
      return handles.length > 0 ? pick(handles) : 1
  }
}

/** Right, but for one argument now and then. */
function nearlyRight(method) {
  if (method === 'sealOnce' || method === 'openOnce') {
    const [input, overhead] = [memory(draw(300)), method === 'sealOnce' ? 16 : 0]
    const args = [memory(pick([16, 24, 32])), memory(12), memory(draw(100)), input, memory(input.length + overhead)]
    if (method === 'openOnce') args.push(memory(16))
    if (draw(3) === 0) args[draw(args.length)] = value()
    return args
  }
  if (method === 'random') return [draw(3) === 0 ? value() : memory(draw(2000))]
  if (method === 'deriveTwo') {
    const args = [1 + draw(64), 1 + draw(128), 1 + draw(64), 1 + draw(64), 64].map(memory)
    if (draw(3) === 0) args[draw(5)] = value()
    return args
  }
  if (method === 'signDigest') {
    const args = [Uint8Array.from(privateKey), memory(pick([32, 48])), memory(160)]
    if (draw(3) === 0) args[draw(3)] = value()
    if (draw(20) === 0 && args[0] instanceof Uint8Array && args[0].length > 0) args[0][draw(args[0].length)] ^= 1
    return args
  }
  const length = 1 + draw(40)
  const count = 1 + draw(4)
  const plaintext = memory(length * count)
  const frames = memory((length + 32) * count)
  const handle = addon.create(memory(pick([16, 24, 32])), memory(12 + draw(117)), length)
  const args = method === 'seal' ? [handle, plaintext, 1 + draw(9), frames] : [handle, frames, 1 + draw(9), plaintext]
  if (draw(3) === 0) args[draw(4)] = value()
  return args
}

let answers = 0
for (let call = 0; call < calls; call++) {
  const method = pick([
    'create',
    'seal',
    'open',
    'seal',
    'open',
    'end',
    'sealOnce',
    'openOnce',
    'deriveTwo',
    'random',
    'signDigest',
  ])
  const args =
    draw(2) === 0 && method !== 'create' && method !== 'end'
      ? nearlyRight(method)
      : Array.from({ length: draw(6) }, value)
  try {
    const answer = addon[method](...args)
    answers++
    if (method === 'create') handles[draw(16)] = answer
  } catch (error) {
    const foreseen = error instanceof TypeError || error instanceof RangeError || error.message === NO_SIGNATURE
    if (!foreseen) throw error
  }
}
if (answers === 0) throw new Error('nothing was answered')
process.stdout.write(`${calls} calls\n`)
