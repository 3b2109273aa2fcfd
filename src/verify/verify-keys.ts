import type { KeyAdded, KeyAdopted, KeyRetired } from '../domain/log/keys.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import { isSignatureOf } from '../log/signer.ts'
import { fromBase64, toHex } from '../merkle/hash.ts'
import { type KeyStatement, parseKeyStatement } from '../merkle/keys.ts'
import { parseSignedNote, type SignedNote } from '../merkle/note.ts'

/**
 * Checks that every change of the keys follows from the keys in force before it, that its statement says the same as the
 * entry and names the ledger's own tree, and that the keys which must sign it did. Errors: VERIFY_FAILED (`keys`). Cost:
 * one or two signatures for each change.
 */
export class KeyVerification implements Check {
  #origin = ''
  #inForce: string[] = []
  readonly #changes: { root: string; seq: number; size: number }[] = []

  entry({ data, seq, type }: Entry): void {
    switch (type) {
      case 'ledger.created':
      case 'ledger.restored':
        this.#origin = String(data.origin)
        this.#inForce = [String(data.vkey)]
        return
      case 'ledger.key_added': {
        const { by, vkey } = data as KeyAdded
        this.#change(seq, data as KeyAdded, { by: [by], change: 'added' }, [by, vkey])
        if (!this.#has(by) || this.#inForce.length !== 1)
          throw wrong(seq, 'adds a key beside others than the one in force')
        this.#inForce.push(vkey)
        return
      }
      case 'ledger.key_retired': {
        const { by, vkey } = data as KeyRetired
        this.#change(seq, data as KeyRetired, { by: [by], change: 'retired' }, [by])
        if (!this.#has(by, vkey)) throw wrong(seq, 'retires a key that is not one of two in force')
        this.#inForce = [by]
        return
      }
      case 'ledger.key_adopted': {
        const { lost, vkey } = data as KeyAdopted
        this.#change(seq, data as KeyAdopted, { by: lost, change: 'adopted' }, [vkey])
        if (!this.#has(...lost) || lost.length !== this.#inForce.length)
          throw wrong(seq, 'replaces other keys than those in force')
        this.#inForce = [vkey]
      }
    }
  }

  /** Called after the last entry: the statements name the tree that was verified. */
  end({ rootAt }: Pick<Found, 'rootAt'>): void {
    for (const { root, seq, size } of this.#changes) {
      if (toHex(rootAt(size)) !== root) throw wrong(seq, `states another root for the tree of size ${size}`)
    }
  }

  #change(
    seq: number,
    { root, size, statement, vkey }: Pick<KeyAdded, 'root' | 'size' | 'statement' | 'vkey'>,
    { by, change }: Pick<KeyStatement, 'by' | 'change'>,
    signers: readonly string[],
  ): void {
    const note = parseSignedNote(statement)
    const stated = note.ok ? parseKeyStatement(note.value.text) : note
    if (!note.ok || !stated.ok) throw wrong(seq, 'has no valid statement')
    const { value } = stated
    const isSame =
      value.change === change &&
      value.origin === this.#origin &&
      value.size === size &&
      size <= seq &&
      toHex(value.root) === root &&
      value.vkey === vkey &&
      value.by.join() === by.join()
    if (!isSame) throw wrong(seq, 'has a statement that says something else')
    const unsigned = signers.find((line) => !isSignedBy(note.value, line))
    if (unsigned !== undefined) throw wrong(seq, `has a statement that ${unsigned} did not sign`)
    this.#changes.push({ root, seq, size })
  }

  #has(...vkeys: string[]): boolean {
    return vkeys.every((vkey) => this.#inForce.includes(vkey))
  }
}

function isSignedBy({ signatures, text }: SignedNote, vkey: string): boolean {
  const [name, keyId, ...rest] = vkey.split('+')
  const publicKey = fromBase64(rest.join('+'))?.slice(1)
  const own = signatures.find((line) => line.name === name && toHex(line.keyId) === keyId)
  return publicKey?.length === 32 && own !== undefined && isSignatureOf(publicKey, Buffer.from(text), own.signature)
}

function wrong(seq: number, what: string) {
  return differs('keys', `entry ${seq} ${what}`, { seq })
}
