// limit: 240
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { moveLedger } from '../../src/backup/move.ts'
import { databaseTarget } from '../../src/backup/move-to-database.ts'
import { folderTarget } from '../../src/backup/move-to-folder.ts'
import { governingLayout } from '../../src/disk/permissions.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { newLedgerDatabase } from '../support/ledger-database.ts'
import { append, filledLedger, goesOn, reading, refused, refusesCommands, sourceOf } from '../support/moving.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'
import { asPlainError } from '../support/scene.ts'

const move = suite('a move to a database')
const on = (title: string, work: () => Promise<void>) => move(title, () => work().catch(asPlainError))

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  const server = await startPostgres()
  move.after(() => server.close())

  const newDatabase = () => newLedgerDatabase(server)
  const toDatabase = (root: string, url: string) =>
    moveLedger(sourceOf(root), databaseTarget(url, governingLayout(root)))
  const toFolder = (root: string, dir: string) => moveLedger(sourceOf(root), folderTarget(dir, governingLayout(root)))

  on('keeps entries, views, name and key, and back into the folder, and there once more', async () => {
    const { root } = await filledLedger()
    const url = await newDatabase()
    const kept = await reading(root, (ledger) => ledger.head.signed())
    const views = await viewsOf(root)
    const first = await toDatabase(root, url)
    is(first.size, kept.size + 1)
    const moved = await viewsOf(root)
    for (const [key, value] of views) if (key !== 'row ledger') equal(moved.get(key), value, key)
    is(moved.size, views.size)
    await refusesCommands(root, 'level')
    await goesOn(root, first.size)
    await refused(toDatabase(root, url), 'LEDGER_EXISTS')

    const second = await toFolder(root, root)
    is(existsSync(join(root, '.lockstep/engine.json')), false)
    await goesOn(root, second.size)
    const third = await toDatabase(root, url)
    is(third.to, first.to)
    await goesOn(root, third.size)
    await refusesCommands(root, 'level')
    for (const engine of ['level', undefined] as const) {
      await reading(
        root,
        async (ledger) => {
          is((await ledger.head.signed({ size: kept.size })).checkpoint, kept.checkpoint)
          is((await ledger.head.signed({ size: first.size })).checkpoint, first.checkpoint)
        },
        engine,
      )
    }
  })

  on('and on to another folder leaves a sealed ledger in the database', async () => {
    const { root } = await filledLedger(50)
    await toDatabase(root, await newDatabase())
    const other = temporaryRoot()
    const { size } = await toFolder(root, other)
    await refusesCommands(root)
    await goesOn(other, size)
  })

  on('by the command puts no connection string into an entry or an answer', async () => {
    const { root } = await filledLedger(50)
    const url = await newDatabase()
    const words = ['--dir', root, '--actor', 'human:BECCA', 'migrate', '--to', url]
    const { json, status, stderr, stdout } = await lockstep(words)
    is(status, 0, stdout)
    is(json.dir, root)
    const password = new URL(url).password
    ok(readFileSync(join(root, '.lockstep/engine.json'), 'utf8').includes(password))
    for (const text of [stdout, stderr]) not.ok(text.includes(password) || text.includes('postgres://'))
    await reading(root, async (ledger) => {
      for await (const entry of ledger.log.read()) not.ok(JSON.stringify(entry).includes('postgres://'))
      await append(ledger, 10)
    })
    const wrong = url.replace(password, 'wrong')
    const { root: other } = await filledLedger(10)
    const denied = await lockstep(['--dir', other, '--actor', 'human:BECCA', 'migrate', '--to', wrong])
    is(denied.json.code, 'LEDGER_UNAVAILABLE', denied.stdout)
    not.ok(denied.stdout.includes('wrong'))
    await reading(other, (ledger) => append(ledger, 10))
  })
}

move.run()

/** The rows and the sovereign state of a ledger, by their keys. */
async function viewsOf(root: string): Promise<Map<string, unknown>> {
  const log = await sourceOf(root).snapshot()
  const views = new Map<string, unknown>()
  for (const view of ['row', 'state'] as const) {
    for await (const page of log.scan(view, '')) for (const [key, value] of page) views.set(`${view} ${key}`, value)
  }
  await log.close()
  return views
}
