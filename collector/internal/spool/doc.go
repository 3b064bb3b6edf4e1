// Package spool keeps records in files so that they outlive the process: an append is in the page cache of the
// machine, not on its disk, when it returns (there is no fsync), which is what surviving a kill or a reset of the
// Lambda runtime takes, at the price of a few microseconds.
//
// A spool is a folder of numbered segments. A segment is a sequence of records, a record is
//
//	magic   uint32  "OSP1", little endian as all that follows
//	length  uint32  of the payload
//	check   uint32  CRC-32C of all bytes after this field
//	kind    uint32  data or acknowledgement
//	seq     uint64  grows by one a data record; zero for an acknowledgement
//	payload
//
// An acknowledgement lists the sequence numbers that were delivered. It is written only when others are still
// waiting: when nothing waits, the spool empties itself and needs no record of what was in it.
//
// Segments that somebody unlinked are noticed at the next append, which writes again what waits in them.
package spool
