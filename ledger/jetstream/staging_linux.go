package jetstream

import (
	"os"

	"golang.org/x/sys/unix"
)

// sharedMemory is where Linux has a file system in memory that everyone may write to: see shm_overview(7).
const sharedMemory = "/dev/shm"

// leastMemory is how many bytes must be free there: several times what a batch holds.
const leastMemory = 8 * maxBatchBytes

// ownMemory makes a folder in memory, or takes the one that is there if it is this user's alone. It tells whether there
// is one now.
func ownMemory(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(sharedMemory, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || int64(fs.Bavail)*fs.Bsize < leastMemory {
		return false
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return false
	}
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Mode == unix.S_IFDIR|0o700 && st.Uid == uint32(os.Geteuid())
}
