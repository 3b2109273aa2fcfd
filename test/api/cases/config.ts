import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import { editConfig as edit } from '../../support/scene.ts'
import { becca, type Cases, refused, stranger } from '../stage.ts'

const fileIn = (root: string) => join(root, '.lockstep/config.json')

export const config: Cases<'config'> = {
  of: {
    show: {
      'gives every setting in force, whatever the file says': async (stage) => {
        await stage.apart({ operators: ['ann'] }, async ({ api, root }) => {
          const before = await api.config.show()
          equal([before.settings.operators, before.on_disk], [['ann'], 'same'])
          edit(root, { operators: ['ann', 'agent-9'] })
          equal(await api.config.show(), { ...before, on_disk: 'changed' })
          writeFileSync(fileIn(root), '{"operators": [')
          equal(await api.config.show(), { ...before, on_disk: 'invalid' })
          rmSync(fileIn(root))
          equal(await api.config.show(), { ...before, on_disk: 'missing' })
        })
      },
    },
    check: {
      'says what a reload would change, or what is wrong and where': async (stage) => {
        await stage.apart({}, async ({ api, root }) => {
          equal((await api.config.check()).changes, [])
          edit(root, { actors: { 'agent-1': ['INTAKE_AGENT'] } })
          const { changes, loadable, sha256 } = await api.config.check()
          equal(changes, [{ after: { 'agent-1': ['INTAKE_AGENT'] }, before: null, setting: 'actors' }])
          ok(loadable && sha256 !== null)
          writeFileSync(fileIn(root), '{\n  "operator": ["ann"]\n}\n')
          const broken = await api.config.check()
          equal([broken.loadable, broken.changes, broken.sha256], [false, [], null])
          equal(broken.problems, [
            { file: '.lockstep/config.json', line: 2, message: 'operator: is not a known setting' },
          ])
        })
      },
    },
    reload: {
      'puts the file in force, once': async (stage) => {
        await stage.apart({}, async ({ api, root }) => {
          edit(root, { record_contention: true })
          const { sha256 } = await api.config.check()
          ok(sha256)
          const loaded = await api.config.reload({ actor: becca, sha256 })
          equal([loaded.replayed, loaded.sha256], [false, sha256])
          equal(loaded.changes, [{ after: true, before: false, setting: 'record_contention' }])
          const again = await api.config.reload({ actor: becca })
          equal(again, { ...loaded, changes: [], replayed: true })
        })
      },
      'is for operators in force, and takes no bad file': async (stage) => {
        await stage.apart({}, async ({ api, root }) => {
          edit(root, { operators: [stranger.actor_id] })
          await refused(api.config.reload({ actor: stranger }), 'CONFIG_DENIED')
          const { sha256 } = await api.config.check()
          edit(root, { operators: ['ann'] })
          await refused(api.config.reload({ actor: becca, sha256: String(sha256) }), 'CONFIG_INVALID')
          writeFileSync(fileIn(root), '{')
          await refused(api.config.reload({ actor: becca }), 'CONFIG_INVALID')
          rmSync(fileIn(root))
          mkdirSync(fileIn(root))
          await refused(api.config.reload({ actor: becca }), 'CONFIG_INVALID')
          is((await api.config.show()).on_disk, 'invalid')
        })
      },
    },
  },
}
