/* mount.nfs for a kernel without NFS: FUSE on one side, version 3 by libnfs on the other, as mount(8) calls it:
     mount.nfs SERVER:/PATH FOLDER [-o OPTIONS]
   Options understood: ro, soft, port=N, mountport=N, actimeo=N (default 0: a node sees at once what another one wrote).
   One thread and one connection. Calls go out as root, so the export must not squash it; who may do what is checked by
   the kernel (default_permissions), and what a user makes is given to them. Locks hold within one node only.
   Version 3, because libnfs 4.0 fails at a second open with version 4. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <nfsc/libnfs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

static struct nfs_context *nfs;
static double attribute_seconds = 0;
static size_t read_most = 65536, write_most = 65536;

static struct nfsfh *handle(struct fuse_file_info *info) { return (struct nfsfh *)(uintptr_t)info->fh; }

/* What the server made for root belongs to whoever asked for it. */
static int made(const char *path, int result) {
  struct fuse_context *caller = fuse_get_context();
  if (result == 0 && (caller->uid || caller->gid)) nfs_lchown(nfs, path, caller->uid, caller->gid);
  return result;
}

static int op_getattr(const char *path, struct stat *out, struct fuse_file_info *info) {
  struct nfs_stat_64 in;
  int result = info && info->fh ? nfs_fstat64(nfs, handle(info), &in) : nfs_lstat64(nfs, path, &in);
  if (result) return result;
  memset(out, 0, sizeof *out);
  out->st_dev = in.nfs_dev;
  out->st_ino = in.nfs_ino;
  out->st_mode = in.nfs_mode;
  out->st_nlink = in.nfs_nlink;
  out->st_uid = in.nfs_uid;
  out->st_gid = in.nfs_gid;
  out->st_rdev = in.nfs_rdev;
  out->st_size = in.nfs_size;
  out->st_blksize = 4096;
  out->st_blocks = (in.nfs_used + 511) / 512;
  out->st_atim = (struct timespec){in.nfs_atime, in.nfs_atime_nsec};
  out->st_mtim = (struct timespec){in.nfs_mtime, in.nfs_mtime_nsec};
  out->st_ctim = (struct timespec){in.nfs_ctime, in.nfs_ctime_nsec};
  return 0;
}

static int op_readlink(const char *path, char *out, size_t size) { return nfs_readlink(nfs, path, out, size); }
static int op_mknod(const char *path, mode_t mode, dev_t device) { return made(path, nfs_mknod(nfs, path, mode, device)); }
static int op_mkdir(const char *path, mode_t mode) { return made(path, nfs_mkdir2(nfs, path, mode & 07777)); }
static int op_symlink(const char *to, const char *path) { return made(path, nfs_symlink(nfs, to, path)); }
static int op_unlink(const char *path) { return nfs_unlink(nfs, path); }
static int op_rmdir(const char *path) { return nfs_rmdir(nfs, path); }
static int op_link(const char *from, const char *to) { return nfs_link(nfs, from, to); }

static int op_rename(const char *from, const char *to, unsigned flags) {
  return flags ? -EINVAL : nfs_rename(nfs, from, to);
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *info) {
  (void)info;
  return nfs_chmod(nfs, path, mode & 07777);
}

static int op_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *info) {
  struct nfs_stat_64 now;
  (void)info;
  int result = nfs_lstat64(nfs, path, &now);
  if (result) return result;
  return nfs_lchown(nfs, path, uid == (uid_t)-1 ? (int)now.nfs_uid : (int)uid, gid == (gid_t)-1 ? (int)now.nfs_gid : (int)gid);
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *info) {
  return info && info->fh ? nfs_ftruncate(nfs, handle(info), size) : nfs_truncate(nfs, path, size);
}

static struct timespec chosen(struct timespec wanted, uint64_t seconds, uint64_t nanoseconds) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (wanted.tv_nsec == UTIME_NOW) return now;
  if (wanted.tv_nsec == UTIME_OMIT) return (struct timespec){seconds, nanoseconds};
  return wanted;
}

static int op_utimens(const char *path, const struct timespec wanted[2], struct fuse_file_info *info) {
  struct nfs_stat_64 now;
  (void)info;
  int result = nfs_lstat64(nfs, path, &now);
  if (result) return result;
  struct timespec access = chosen(wanted[0], now.nfs_atime, now.nfs_atime_nsec);
  struct timespec change = chosen(wanted[1], now.nfs_mtime, now.nfs_mtime_nsec);
  struct timeval both[2] = {{access.tv_sec, access.tv_nsec / 1000}, {change.tv_sec, change.tv_nsec / 1000}};
  return nfs_lutimes(nfs, path, both);
}

/* libnfs 4.0 hands out no file where it is to truncate one as it opens it, so that is done afterwards. */
static int opened(int result, struct nfsfh *file, struct fuse_file_info *info) {
  if (result) return result;
  info->fh = (uintptr_t)file;
  return info->flags & O_TRUNC ? nfs_ftruncate(nfs, file, 0) : 0;
}

static int op_open(const char *path, struct fuse_file_info *info) {
  struct nfsfh *file = NULL;
  int result = nfs_open(nfs, path, info->flags & (O_ACCMODE | O_SYNC), &file);
  return opened(result, file, info);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *info) {
  struct nfsfh *file = NULL;
  int result = made(path, nfs_open2(nfs, path, (info->flags & (O_ACCMODE | O_EXCL)) | O_CREAT, mode & 07777, &file));
  return opened(result, file, info);
}

static int op_read(const char *path, char *out, size_t size, off_t offset, struct fuse_file_info *info) {
  size_t done = 0;
  (void)path;
  while (done < size) {
    size_t wanted = size - done > read_most ? read_most : size - done;
    int got = nfs_pread(nfs, handle(info), offset + done, wanted, out + done);
    if (got < 0) return done ? (int)done : got;
    done += got;
    if ((size_t)got < wanted) break;
  }
  return (int)done;
}

static int op_write(const char *path, const char *in, size_t size, off_t offset, struct fuse_file_info *info) {
  size_t done = 0;
  (void)path;
  while (done < size) {
    size_t wanted = size - done > write_most ? write_most : size - done;
    int put = nfs_pwrite(nfs, handle(info), offset + done, wanted, (void *)(in + done));
    if (put < 0) return done ? (int)done : put;
    done += put;
  }
  return (int)done;
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *info) {
  (void)path, (void)data_only;
  return nfs_fsync(nfs, handle(info));
}

static int op_release(const char *path, struct fuse_file_info *info) {
  (void)path;
  return nfs_close(nfs, handle(info));
}

static int op_statfs(const char *path, struct statvfs *out) { return nfs_statvfs(nfs, path, out); }

static int op_readdir(const char *path, void *list, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
                      enum fuse_readdir_flags flags) {
  struct nfsdir *folder;
  struct nfsdirent *entry;
  (void)offset, (void)info, (void)flags;
  int result = nfs_opendir(nfs, path, &folder);
  if (result) return result;
  while ((entry = nfs_readdir(nfs, folder))) {
    struct stat known = {.st_ino = entry->inode, .st_mode = entry->mode & S_IFMT};
    fill(list, entry->name, &known, 0, 0);
  }
  nfs_closedir(nfs, folder);
  return 0;
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->use_ino = 1;
  config->attr_timeout = config->entry_timeout = attribute_seconds;
  config->negative_timeout = 0;
  return NULL;
}

static const struct fuse_operations operations = {
    .init = op_init, .getattr = op_getattr, .readlink = op_readlink, .mknod = op_mknod, .mkdir = op_mkdir,
    .unlink = op_unlink, .rmdir = op_rmdir, .symlink = op_symlink, .rename = op_rename, .link = op_link,
    .chmod = op_chmod, .chown = op_chown, .truncate = op_truncate, .open = op_open, .create = op_create,
    .read = op_read, .write = op_write, .statfs = op_statfs, .release = op_release, .fsync = op_fsync,
    .readdir = op_readdir, .utimens = op_utimens,
};

struct wanted {
  char *server, *path, *folder;
  int read_only, soft, port, mount_port;
};

static void read_options(struct wanted *it, char *options) {
  for (char *option = strtok(options, ","); option; option = strtok(NULL, ",")) {
    if (!strcmp(option, "ro")) it->read_only = 1;
    else if (!strcmp(option, "soft")) it->soft = 1;
    else if (!strncmp(option, "port=", 5)) it->port = atoi(option + 5);
    else if (!strncmp(option, "mountport=", 10)) it->mount_port = atoi(option + 10);
    else if (!strncmp(option, "actimeo=", 8)) attribute_seconds = atof(option + 8);
  }
}

static int read_arguments(struct wanted *it, int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    if (!strcmp(arguments[i], "-o") && i + 1 < count) read_options(it, strdup(arguments[++i]));
    else if (!strcmp(arguments[i], "-t")) i++;
    else if (arguments[i][0] == '-') it->read_only |= strchr(arguments[i], 'r') != NULL;
    else if (!it->server) it->server = strdup(arguments[i]);
    else it->folder = arguments[i];
  }
  if (!it->server || !it->folder || !(it->path = strstr(it->server, ":/"))) return -1;
  *it->path++ = 0;
  return 0;
}

static int connect_to(const struct wanted *it) {
  char url[4096];
  nfs = nfs_init_context();
  snprintf(url, sizeof url, "nfs://%s%s/?version=3&nfsport=%d&mountport=%d&autoreconnect=%d", it->server,
           strcmp(it->path, "/") ? it->path : "", it->port, it->mount_port, it->soft ? 0 : -1);
  struct nfs_url *parsed = nfs_parse_url_dir(nfs, url);
  if (!parsed || nfs_mount(nfs, parsed->server, parsed->path)) {
    fprintf(stderr, "mount.nfs: %s:%s: %s\n", it->server, it->path, nfs_get_error(nfs));
    return -1;
  }
  size_t most;
  if ((most = nfs_get_readmax(nfs)) > 4096 && most < read_most) read_most = most;
  if ((most = nfs_get_writemax(nfs)) > 4096 && most < write_most) write_most = most;
  return 0;
}

int main(int count, char **arguments) {
  struct wanted it = {.port = 2049, .mount_port = 20048};
  char options[4600];
  if (read_arguments(&it, count, arguments)) {
    fprintf(stderr, "usage: mount.nfs SERVER:/PATH FOLDER [-o OPTIONS]\n");
    return 1;
  }
  if (connect_to(&it)) return 32; /* mount(8): the mount failed */
  snprintf(options, sizeof options, "allow_other,default_permissions,subtype=nfs,fsname=%s:%s%s", it.server, it.path,
           it.read_only ? ",ro" : "");
  char *words[] = {"mount.nfs", "-o", options, NULL};
  struct fuse_args fuse_arguments = FUSE_ARGS_INIT(3, words);
  umask(0);
  struct fuse *fuse = fuse_new(&fuse_arguments, &operations, sizeof operations, NULL);
  if (!fuse || fuse_mount(fuse, it.folder)) return 32;
  fuse_daemonize(0);
  fuse_set_signal_handlers(fuse_get_session(fuse));
  int result = fuse_loop(fuse);
  fuse_unmount(fuse);
  return result ? 1 : 0;
}
