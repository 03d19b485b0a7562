/** All-pairs selection: few rows in which every two values of different parameters meet. */

export type Parameters = Readonly<Record<string, readonly unknown[]>>
export type Row<P extends Parameters> = { readonly [Name in keyof P]: P[Name][number] }

/** Whether two values, of the parameters named, can stand in one row. Asked both ways around. */
export type Compatible = (name: string, value: unknown, otherName: string, otherValue: unknown) => boolean

type Cell = readonly [parameter: number, value: number]

class Space {
  readonly names: readonly string[]
  readonly values: readonly (readonly unknown[])[]
  readonly #compatible: Compatible

  constructor(parameters: Parameters, compatible: Compatible) {
    this.names = Object.keys(parameters)
    this.values = Object.values(parameters)
    this.#compatible = compatible
  }

  allows([a, i]: Cell, [b, j]: Cell): boolean {
    const first = [this.names[a]!, this.values[a]![i]] as const
    const second = [this.names[b]!, this.values[b]![j]] as const
    return this.#compatible(...first, ...second) && this.#compatible(...second, ...first)
  }

  *cells(): Generator<Cell> {
    for (const [parameter, values] of this.values.entries()) {
      for (const value of values.keys()) yield [parameter, value]
    }
  }

  pairs(): Map<string, readonly [Cell, Cell]> {
    const pairs = new Map<string, readonly [Cell, Cell]>()
    for (const one of this.cells()) {
      for (const other of this.cells()) {
        if (one[0] < other[0] && this.allows(one, other)) pairs.set(pairKey(one, other), [one, other])
      }
    }
    return pairs
  }
}

function pairKey(one: Cell, other: Cell): string {
  const [first, second] = one[0] < other[0] ? [one, other] : [other, one]
  return `${first.join(':')} ${second.join(':')}`
}

/** Deterministic and greedy: each row begins with a pair not yet met, and takes the values that meet most new others. */
export function pairwise<P extends Parameters>(parameters: P, compatible: Compatible = () => true): Row<P>[] {
  const space = new Space(parameters, compatible)
  const missing = space.pairs()
  const rows: Row<P>[] = []
  const used = new Map<string, number>()
  for (;;) {
    const [pair] = missing.values()
    if (pair === undefined) return rows
    const row = new Map<number, number>(pair)
    for (const parameter of space.names.keys()) {
      if (!row.has(parameter)) row.set(parameter, bestValue(space, missing, used, row, parameter))
    }
    for (const one of row) {
      used.set(one.join(':'), (used.get(one.join(':')) ?? 0) + 1)
      for (const other of row) missing.delete(pairKey(one, other))
    }
    const entries = space.names.map((name, parameter) => [name, space.values[parameter]![row.get(parameter)!]])
    rows.push(Object.fromEntries(entries) as Row<P>) // one value of each parameter
  }
}

/** Among values that meet as many new others, the one used least so far, so that a row's free places vary. */
function bestValue(
  space: Space,
  missing: ReadonlyMap<string, unknown>,
  used: ReadonlyMap<string, number>,
  row: ReadonlyMap<number, number>,
  parameter: number,
): number {
  const candidates = [...space.values[parameter]!.keys()]
    .map((value): Cell => [parameter, value])
    .filter((cell) => [...row].every((other) => space.allows(cell, other)))
    .map((cell) => ({
      value: cell[1],
      gain: [...row].filter((other) => missing.has(pairKey(cell, other))).length,
      uses: used.get(cell.join(':')) ?? 0,
    }))
    .sort((a, b) => b.gain - a.gain || a.uses - b.uses || a.value - b.value)
  const best = candidates[0]
  if (best === undefined) throw new Error(`no value of "${space.names[parameter]!}" goes with the row`)
  return best.value
}

/** Every allowed row. */
export function product<P extends Parameters>(parameters: P, compatible: Compatible = () => true): Row<P>[] {
  const space = new Space(parameters, compatible)
  let rows: Cell[][] = [[]]
  for (const [parameter, values] of space.values.entries()) {
    const cells = [...values.keys()].map((value): Cell => [parameter, value])
    rows = rows.flatMap((row) =>
      cells.filter((cell) => row.every((other) => space.allows(cell, other))).map((cell) => [...row, cell]),
    )
  }
  return rows.map((row) => {
    const entries = row.map(([parameter, value]) => [space.names[parameter]!, space.values[parameter]![value]])
    return Object.fromEntries(entries) as Row<P> // one value of each parameter
  })
}

/** Allowed pairs that meet in none of the rows, for a check that does not rely on how the rows were chosen. */
export function pairsWithout<P extends Parameters>(
  rows: readonly Row<P>[],
  parameters: P,
  compatible: Compatible = () => true,
): string[] {
  const names = Object.keys(parameters)
  const absent: string[] = []
  for (const [index, name] of names.entries()) {
    for (const otherName of names.slice(index + 1)) {
      for (const value of parameters[name]!) {
        for (const otherValue of parameters[otherName]!) {
          const allowed =
            compatible(name, value, otherName, otherValue) && compatible(otherName, otherValue, name, value)
          const met = rows.some((row) => row[name] === value && row[otherName] === otherValue)
          if (allowed && !met) absent.push(`${name}=${String(value)} ${otherName}=${String(otherValue)}`)
        }
      }
    }
  }
  return absent
}
