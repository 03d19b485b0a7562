import assert from 'node:assert/strict'
import { PolicyError, LimitError } from 'esdk-streams'
import { FileFailure, describeFailure, exitCodeOf, oneLine } from '#lib/cli/failure'
import { humanBytes, humanSeconds } from '#lib/cli/human'
import { defaultOutput } from '#lib/cli/location'
import { lookOf, progressLine, showsProgress } from '#lib/cli/progress'

describe('what the command shows', () => {
  it('is one line whatever a name holds, and nothing that moves a cursor', () => {
    assert.equal(oneLine('a\nb\u001b[2J\u0085\u202e'), 'a\\u000ab\\u001b[2J\\u0085\\u202e')
    const failure = new FileFailure('x\ny', new PolicyError('no\r'))
    assert.doesNotMatch(describeFailure(failure), /[\r\n]/)
  })

  it('names the options of the command line where the library names its own', () => {
    for (const [error, advice] of [
      [new PolicyError('policy x forbids decrypting'), /--commitment-policy require-encrypt-allow-decrypt/],
      [new PolicyError('policy x forbids encrypting'), /--suite or --commitment-policy/],
      [new PolicyError('"unsignedOnly" refuses that'), /leave out --unsigned-only/],
      [new PolicyError('lacks a name in its encryption context'), /correct -c/],
      [new PolicyError('something else'), /relax the option/],
      [new LimitError('the encryption context takes 70000 bytes'), /fewer or shorter -c/],
      [new LimitError('5 encrypted data keys'), /--max-encrypted-data-keys/],
      [new LimitError('a frame length'), /raise the limit/],
    ] as const) {
      const failure = new FileFailure('file', error)
      assert.match(describeFailure(failure), advice)
      assert.equal(exitCodeOf(failure), 5)
    }
    assert.equal(describeFailure('odd'), 'odd')
    assert.equal(describeFailure(new FileFailure('file', 'odd')), 'file: odd')
    assert.equal(exitCodeOf('odd'), 1)
  })

  it('has numbers of bytes that people can read', () => {
    const shown = [0, 1, 999, 999.6, 1000, 1500, 9_940, 268_435_456, 1e12, 1e15, 1e21].map(humanBytes)
    assert.deepEqual(shown, [
      '0 B',
      '1 B',
      '999 B',
      '1.0 kB',
      '1.0 kB',
      '1.5 kB',
      '9.9 kB',
      '268 MB',
      '1.0 TB',
      '1.0 PB',
      '1000000 PB',
    ])
  })

  it('has times that people can read', () => {
    assert.deepEqual([0.2, 120, 121, 7200, 7201, 90_000].map(humanSeconds), [
      ...['1 s', '120 s', '3 min', '120 min', '2 h 1 min', '25 h 0 min'],
    ])
  })

  it('has default names for OUTPUT', () => {
    assert.equal(defaultOutput('encrypt', 'a/b.tar'), 'a/b.tar.encrypted')
    assert.equal(defaultOutput('encrypt', 'b.encrypted'), 'b.encrypted.encrypted')
    assert.equal(defaultOutput('decrypt', 'a/b.tar.encrypted'), 'a/b.tar')
    assert.equal(defaultOutput('decrypt', 'a/b.tar'), 'a/b.tar.decrypted')
    assert.equal(defaultOutput('decrypt', '.encrypted'), '.encrypted.decrypted')
    assert.equal(defaultOutput('decrypt', 'a/.encrypted'), 'a/.encrypted.decrypted')
    assert.equal(defaultOutput('encrypt', '-'), '-')
    assert.equal(defaultOutput('decrypt', '-'), '-')
  })

  it('has a bar that fills up, with colours only where they are wanted', () => {
    const line = { label: 'encrypting', done: 50e6, total: 100e6, seconds: 2, colours: false }
    assert.equal(progressLine(line), 'encrypting ████████████░░░░░░░░░░░░ 50% of 100 MB 25 MB/s 2 s left')
    assert.ok(
      progressLine({ ...line, colours: true }).startsWith('encrypting \u001b[36m████████████░░░░░░░░░░░░\u001b[0m 50%'),
    )
    assert.match(progressLine({ ...line, done: 100e6 }), /█{24} 100% of 100 MB 50 MB\/s$/)
    assert.match(progressLine({ ...line, done: 200e6 }), /█{24} 100%/)
    assert.match(progressLine({ ...line, done: 0, seconds: 0 }), /░{24} 0% of 100 MB 0 B\/s$/)
    assert.match(progressLine({ ...line, done: 0, total: 0 }), /100% of 0 B/)
    assert.equal(progressLine({ ...line, total: undefined }), 'encrypting 50 MB 25 MB/s')
  })

  it('fits the bar into what columns there are, down to one', () => {
    const line = { label: 'encrypting', done: 50e6, total: 100e6, seconds: 2, colours: false }
    const widths = Array.from({ length: 80 }, (_, index) => index + 1)
    for (const total of [100e6, undefined]) {
      const lines = widths.map((columns) => progressLine({ ...line, total, spins: true, columns }))
      lines.forEach((shown, index) => {
        assert.ok(shown.length <= widths[index]! && shown.length > 0, shown)
        assert.ok(shown.length >= (lines[index - 1] ?? '').length, 'more room, more to see')
      })
    }
    assert.match(progressLine({ ...line, columns: 30 }), /^█{5}░{5} 50% 2 s left$/)
    assert.equal(progressLine({ ...line, columns: 4 }), '50%')
    // Colours take no room.
    const coloured = progressLine({ ...line, colours: true, columns: 30 })
    assert.equal(coloured, '\u001b[36m█████░░░░░\u001b[0m 50% 2 s left')
  })

  it('turns where the length is not known, on terminals that can draw', () => {
    const line = { label: 'encrypting', done: 50e6, total: undefined, colours: false, spins: true }
    const turns = [1, 1.125, 1.25, 1.375].map((seconds) => progressLine({ ...line, seconds })[0])
    assert.deepEqual(turns.sort(), ['-', '/', '\\', '|'])
    assert.deepEqual(lookOf(true, {}), { colours: true, spins: true })
    assert.deepEqual(lookOf(true, { NO_COLOR: '1' }), { colours: false, spins: true })
    assert.deepEqual(lookOf(true, { NO_COLOR: '' }), { colours: true, spins: true })
    assert.deepEqual(lookOf(true, { TERM: 'dumb' }), { colours: false, spins: false })
    assert.deepEqual(lookOf(false, {}), { colours: false, spins: false })
  })

  it('has a bar when that is asked for, and never with --quiet', () => {
    assert.equal(showsProgress({ progress: 'always' }, true), true)
    assert.equal(showsProgress({ progress: 'always', quiet: true }, false), false)
    assert.equal(showsProgress({ progress: 'never' }, false), false)
  })
})
