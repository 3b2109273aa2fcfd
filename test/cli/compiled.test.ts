import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { root as projectRoot } from '../runner.ts'
import { temporaryRoot } from '../support/ledger.ts'

const dist = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli')
const [program, compiled] = ['command.cjs', 'command.cjs.compiled']
const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }

/** The built command in a folder of its own, after a change to what it starts from; and what it then says. */
function startsAfter(change: (folder: string) => void): void {
  const root = temporaryRoot()
  const folder = join(root, 'dist', 'cli')
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(projectRoot, 'package.json'), join(root, 'package.json'))
  for (const file of ['main.js', program, compiled]) copyFileSync(join(dist, file), join(folder, file))
  change(folder)
  const { signal, status, stderr, stdout } = spawnSync(process.execPath, [join(folder, 'main.js'), '--version'])
  equal(
    { signal, status, stdout: `${stdout}`, stderr: `${stderr}` },
    { signal: null, status: 0, stdout: `${version}\n`, stderr: '' },
  )
}

function rewrite(file: string, change: (bytes: Buffer) => Uint8Array): void {
  writeFileSync(file, change(readFileSync(file)))
}

const start = suite('the code that is compiled when the command is built')

start('is what the command starts from', () => startsAfter(() => {}))

start('is optional', () => startsAfter((folder) => rmSync(join(folder, compiled))))

start('is not used if any bit of it was flipped', () => {
  for (const part of [0, 0.001, 0.2, 0.5, 0.8, 0.999]) {
    startsAfter((folder) =>
      rewrite(join(folder, compiled), (bytes) => {
        const at = Math.floor(part * bytes.length)
        bytes[at] = (bytes[at] ?? 0) ^ 4
        return bytes
      }),
    )
  }
})

start('is not used if it was cut or is empty', () => {
  for (const part of [0, 0.00001, 0.5]) {
    startsAfter((folder) => rewrite(join(folder, compiled), (bytes) => bytes.subarray(0, part * bytes.length)))
  }
})

start('is not used for another program of the same length', () => {
  startsAfter((folder) =>
    rewrite(join(folder, program), (bytes) =>
      Buffer.from(bytes.toString('latin1').replace('An append-only', 'Oh append-only'), 'latin1'),
    ),
  )
})

start.run()
