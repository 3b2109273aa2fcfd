import { mkdirSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { deliverableFolder, vanishedFolder } from '../../src/files/deliverable/deliverable-folder.ts'
import { configSchema, defaultConfig } from '../../src/kernel/config.ts'
import { refusalOf } from '../support/deliverable.ts'
import { temporaryRoot } from '../support/ledger.ts'

const placement = suite('placement of a lock file')
let root = ''
placement.before.each(() => {
  root = realpathSync(temporaryRoot())
  mkdirSync(join(root, '.lockstep'))
})

/** Makes a folder below the root and looks at its place. */
function placeOf(folder: string, config = defaultConfig) {
  mkdirSync(join(root, folder), { recursive: true })
  return deliverableFolder(join(root, folder), root, config)
}

const refused = (path: string) => refusalOf(() => deliverableFolder(path, root, defaultConfig))

placement('.lock is a direct child of the folder, by its real path', () => {
  mkdirSync(join(root, 'packages/DEL-08-05_Lock'), { recursive: true })
  symlinkSync('packages', join(root, 'link'))
  for (const way of ['packages/DEL-08-05_Lock', 'packages/../packages/DEL-08-05_Lock/', 'link/DEL-08-05_Lock']) {
    equal(deliverableFolder(join(root, way), root, defaultConfig), {
      path: join(root, 'packages/DEL-08-05_Lock'),
      folder: 'packages/DEL-08-05_Lock',
      deliverable_id: 'DEL-08-05',
      name: 'deliverable:DEL-08-05',
      lock: join(root, 'packages/DEL-08-05_Lock/.lock'),
    })
  }
})

placement('the id is the part of the folder’s name before the first _', () => {
  const rows: Record<string, string> = {
    'DEL-08-05': 'DEL-08-05',
    'DEL-08-05_': 'DEL-08-05',
    'DEL-108-05_Two_Words': 'DEL-108-05',
    'KTY-A1-b2_Title': 'KTY-A1-b2',
  }
  for (const [folder, id] of Object.entries(rows)) is(placeOf(folder).deliverable_id, id, folder)
})

for (const folder of [
  'DEL-8-05_Lock',
  'DEL-0008-05_Lock',
  'DEL-08-5_Lock',
  'DEL-08-055_Lock',
  'del-08-05_Lock',
  'DEL-08-05 Lock',
  'DEL-08-05-Lock',
  '_DEL-08-05',
  'XDEL-08-05',
  'KTY-A-B2_Title',
  'KTY-A1-B23_Title',
  'notes',
]) {
  placement(`a folder named "${folder}" has no lock`, async () => {
    mkdirSync(join(root, folder))
    is((await refused(join(root, folder))).code, 'LOCK_PLACEMENT')
  })
}

placement('a folder outside the root, or linked to from inside, is refused', async () => {
  const outside = join(realpathSync(temporaryRoot()), 'DEL-08-05_Lock')
  mkdirSync(outside)
  symlinkSync(outside, join(root, 'DEL-08-05_Link'))
  for (const path of [outside, join(root, 'DEL-08-05_Link'), join(root, '..', '..')]) {
    is((await refused(path)).code, 'LOCK_PLACEMENT', path)
  }
})

placement('the innermost ledger governs: a folder of a nested one is refused by the outer', async () => {
  mkdirSync(join(root, 'inner/.lockstep'), { recursive: true })
  mkdirSync(join(root, 'inner/DEL-08-05_Lock'))
  const { code, details } = await refused(join(root, 'inner/DEL-08-05_Lock'))
  is(code, 'LOCK_PLACEMENT')
  is(details.governing_root, join(root, 'inner'))
  is(deliverableFolder(join(root, 'inner/DEL-08-05_Lock'), join(root, 'inner'), defaultConfig).folder, 'DEL-08-05_Lock')
})

placement('a .lockstep that is a file governs nothing', () => {
  mkdirSync(join(root, 'inner/DEL-08-05_Lock'), { recursive: true })
  writeFileSync(join(root, 'inner/.lockstep'), '')
  is(placeOf('inner/DEL-08-05_Lock').folder, 'inner/DEL-08-05_Lock')
})

placement('a missing folder is NOT_FOUND, a file is INVALID_INPUT, a loop of links is NOT_FOUND', async () => {
  is((await refused(join(root, 'DEL-08-05_Lock'))).code, 'NOT_FOUND')
  writeFileSync(join(root, 'DEL-08-05_File'), '')
  is((await refused(join(root, 'DEL-08-05_File'))).code, 'INVALID_INPUT')
  symlinkSync('DEL-08-05_Circle', join(root, 'DEL-08-05_Circle'))
  is((await refused(join(root, 'DEL-08-05_Circle'))).code, 'NOT_FOUND')
  is((await refused(join(root, `DEL-08-05_${'x'.repeat(300)}`))).code, 'NOT_FOUND')
})

placement('a file that differs from .lock only in case is refused by name', async () => {
  for (const twin of ['.LOCK', '.Lock']) {
    mkdirSync(join(root, 'DEL-08-05_Lock'), { recursive: true })
    writeFileSync(join(root, 'DEL-08-05_Lock', twin), '')
    const { code, message } = await refused(join(root, 'DEL-08-05_Lock'))
    is(code, 'LOCK_PLACEMENT')
    ok(message.includes(twin))
    rmSync(join(root, 'DEL-08-05_Lock', twin))
  }
})

placement('execution_roots give the ids of a folder a prefix, the longest one that fits', () => {
  const config = configSchema.parse({ execution_roots: { alpha: 'A', 'alpha/deep': 'D', beta: 'B' } })
  is(placeOf('alpha/DEL-08-05_Lock', config).name, 'deliverable:A/DEL-08-05')
  is(placeOf('alpha/deep/DEL-08-05_Lock', config).name, 'deliverable:D/DEL-08-05')
  is(placeOf('beta/DEL-08-05_Lock', config).name, 'deliverable:B/DEL-08-05')
  is(placeOf('alphabet/DEL-08-05_Lock', config).name, 'deliverable:DEL-08-05')
})

placement('a vanished folder is known by its path, and an existing folder is not vanished', () => {
  const path = join(root, 'DEL-08-05_Lock')
  is(vanishedFolder(path, root, defaultConfig)?.name, 'deliverable:DEL-08-05')
  mkdirSync(path)
  is(vanishedFolder(path, root, defaultConfig), undefined)
  renameSync(path, join(root, 'DEL-08-05_Moved'))
  is(vanishedFolder(path, root, defaultConfig)?.folder, 'DEL-08-05_Lock')
  is(vanishedFolder(join(root, '../DEL-08-05_Outside'), root, defaultConfig), undefined)
  is(vanishedFolder(join(root, 'notes'), root, defaultConfig), undefined)
})

placement.run()
