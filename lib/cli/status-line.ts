/**
 * The last line of a terminal, which changes while work goes on. It asks nothing of the terminal that would have to be
 * taken back, so that one whose process is killed is as it was.
 */
import type { WriteStream } from 'node:tty'

/** What fits into so many columns. */
export type Drawing = (columns: number) => string

const REDRAW_MS = 100
const PLAIN_MS = 2000
const UNKNOWN_COLUMNS = 80

const ERASE_BELOW = '\u001b[J'
const NO_WRAPPING = '\u001b[?7l'
const WRAPPING = '\u001b[?7h'
// eslint-disable-next-line no-control-regex -- colours are what is looked for
const COLOURS = /\u001b\[\d*m/g

let current: StatusLine | undefined

/** Whether a terminal, if it is one, takes what is drawn over. */
export function canBeDrawnOn(isTerminal: boolean, env: NodeJS.ProcessEnv = process.env): boolean {
  return isTerminal && env['TERM'] !== 'dumb'
}

/** Writes lines to stderr; above the line that changes, where there is one. */
export function tell(lines: string): void {
  const line = current
  line?.erase()
  process.stderr.write(lines)
  line?.draw()
}

/** Makes room for what is written to the same terminal by other ways; the line comes back by itself. */
export function eraseStatusLine(): void {
  current?.erase()
}

/** Begins one, which lines of `tell` go above. */
export function startStatusLine(drawing: Drawing): StatusLine {
  current = new StatusLine(drawing)
  return current
}

/** Where nothing can be drawn over, it is written again every two seconds. */
export class StatusLine {
  readonly #stream: WriteStream
  readonly #drawing: Drawing
  readonly #timer: NodeJS.Timeout
  #shown = 0

  readonly #redraw = (): void => {
    this.erase()
    this.draw()
  }

  readonly #again = (): void => {
    this.#stream.write(`${this.#drawing(Infinity)}\n`)
  }

  constructor(drawing: Drawing, stream: WriteStream = process.stderr) {
    this.#drawing = drawing
    this.#stream = stream
    this.#timer = (this.#isDrawn ? setInterval(this.#redraw, REDRAW_MS) : setInterval(this.#again, PLAIN_MS)).unref()
    if (this.#isDrawn) stream.on('resize', this.#redraw)
    this.draw()
  }

  draw(): void {
    if (!this.#isDrawn) return
    // One column is left free: after a full line terminals differ in where the cursor is.
    const text = this.#drawing(this.#columns - 1)
    // Where the window became narrower and nobody knows yet, it is clipped instead of wrapped.
    this.#stream.write(`${NO_WRAPPING}${text}${WRAPPING}`)
    this.#shown = text.replace(COLOURS, '').length
  }

  /** Leaves the cursor where the line began. */
  erase(): void {
    if (!this.#isDrawn) return
    // Of a window that became narrower, it takes several rows now.
    const rows = Math.ceil(this.#shown / this.#columns) - 1
    this.#stream.write(`${rows > 0 ? `\u001b[${rows}A` : ''}\r${ERASE_BELOW}`)
    this.#shown = 0
  }

  /** Ends it; what is drawn now stays, or nothing. */
  end({ stays }: { readonly stays: boolean }): void {
    if (current !== this) return
    current = undefined
    clearInterval(this.#timer)
    this.#stream.off('resize', this.#redraw)
    this.erase()
    if (stays) this.#stream.write(`${this.#drawing(this.#isDrawn ? this.#columns - 1 : Infinity)}\n`)
  }

  /** Some terminals don't say how wide they are. */
  get #columns(): number {
    const { columns } = this.#stream
    return columns > 1 ? columns : UNKNOWN_COLUMNS
  }

  get #isDrawn(): boolean {
    return canBeDrawnOn(this.#stream.isTTY)
  }
}
