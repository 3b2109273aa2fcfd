/** The stream of the ledger itself: its creation, each restore, its configurations in force and its keys. */
export const ledgerStream = 'ledger'
