/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount/ops.h"

#include "fs/mount/raw.h"
#include "layers/base/cleanup.h"

#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
	WAITERS = 8,
	SMALL_REPLY = 512, /* bytes */
};

void shale_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	/* No more of them: listings are cached, and a directory that was
	 * removed while it is open lives until the kernel forgets it. */
	fuse_reply_err(req, ENOSYS);
}

void shale_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS); /* nothing to do at a close: no more */
}

void shale_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		    struct fuse_file_info *fi, unsigned flags, const void *in,
		    size_t in_size, size_t out_size)
{
	(void)ino;
	(void)cmd;
	(void)arg;
	(void)fi;
	(void)flags;
	(void)in;
	(void)in_size;
	(void)out_size;
	fuse_reply_err(req, ENOTTY);
}

void shale_op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct shale_session *s = userdata;
	unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_EXPORT_SUPPORT |
			FUSE_CAP_READDIRPLUS | FUSE_CAP_ASYNC_DIO |
			FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_PARALLEL_DIROPS |
			FUSE_CAP_POSIX_ACL | FUSE_CAP_CACHE_SYMLINKS;

	/* A made-up directory that is listed again is asked for its time. */
	want |= s->opts.slow_lookups ? FUSE_CAP_AUTO_INVAL_DATA
				     : FUSE_CAP_EXPLICIT_INVAL_DATA;

	/* A kernel that writes back keeps modes, too: it has to take away
	 * privileges itself, or goes on showing and honouring them. */
	if (s->opts.writeback)
		want |= FUSE_CAP_WRITEBACK_CACHE;
	else if (s->opts.live)
		want |= FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_HANDLE_KILLPRIV;
	want |= s->opts.live ? FUSE_CAP_DONT_MASK : FUSE_CAP_NO_OPEN_SUPPORT;
	conn->want = conn->capable & want;
	conn->max_write = SHALE_FUSE_MAX_IO;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* ------------------------------------------------------------- transport */

/* INIT's reply: written down first, or held against what was. */
static int greet(struct shale_session *s, const struct iovec *iov)
{
	struct shale_greeting *g = s->opts.greeting;
	cleanup_buf struct shale_buf reply = {0};

	int r = shale_buf_append(&reply, iov[0].iov_base, iov[0].iov_len);
	if (r == 0)
		r = shale_buf_append(&reply, iov[1].iov_base, iov[1].iov_len);
	if (r < 0)
		return shale_err_set(s->said, -r, "answer the kernel");
	if (s->replaying) {
		s->differs = reply.len != g->reply.len ||
			     memcmp(reply.data, g->reply.data, reply.len) != 0;
		return 0;
	}
	g->reply = reply;
	reply = (struct shale_buf){0};
	if (!shale_raw_resends(g->request.data, g->request.len))
		return 0;
	return shale_greeting_keep(g, s->said);
}

/*
 * The kernel looks up the memory of each piece: bringing a small reply into one
 * piece costs less.
 */
static ssize_t send_pieces(int fd, const struct iovec *iov, int n)
{
	uint8_t whole[SMALL_REPLY];
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > sizeof(whole) - len)
			return writev(fd, iov, n);
		if (iov[i].iov_len)
			memcpy(whole + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return write(fd, whole, len);
}

static ssize_t send_reply(int fd, struct iovec *iov, int n, void *userdata)
{
	struct shale_session *s = userdata;
	struct shale_raw_room room;
	ssize_t len = 0;

	if (shale_raw_patch(s, iov, n, &room)) {
		s->unsent = greet(s, iov);
		if (s->unsent < 0) {
			errno = -s->unsent;
			return -1;
		}
	}
	if (!s->replaying) {
		len = send_pieces(fd, iov, n);
		int error = errno;
		shale_op_answered(s, iov, n);
		errno = error;
		return len;
	}
	for (int i = 0; i < n; i++) /* the kernel has had it */
		len += (ssize_t)iov[i].iov_len;
	return len;
}

/* libfuse asks for it; requests are read by our own loop. */
static ssize_t receive(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

/* The receiver may be another thread's when its request has been served. */
static void process(struct shale_receiver *r)
{
	struct shale_session *s = r->session;
	struct shale_op op;

	shale_raw_fold(r);
	shale_op_begin(&op, r);
	if (!shale_raw_handle(r)) {
		struct fuse_buf buf = {.mem = r->in, .size = r->len};
		fuse_session_process_buf(s->fuse, &buf);
	}
	shale_op_end(s);
}

/* What is known of the threads' work. */
static int init_watch(struct shale_session *s, struct shale_err *err)
{
	int r = pthread_key_create(&s->op, NULL);
	if (r)
		return shale_err_set(err, r, "serve a mount");
	r = shale_opcount_new(&s->counts, err);
	if (r == 0)
		r = shale_trace_new(&s->trace, err);
	if (r < 0) {
		shale_opcount_free(s->counts);
		pthread_key_delete(s->op);
	}
	return r;
}

static void release_watch(struct shale_session *s)
{
	shale_opcount_free(s->counts);
	shale_trace_free(s->trace);
	pthread_key_delete(s->op);
}

static int init_session(struct shale_session *s, struct shale_err *err)
{
	int r = shale_receivers_init(&s->receivers, process, err);
	if (r < 0)
		return r;
	if (s->opts.forest && s->opts.lean)
		r = shale_lean_new(&s->lean, err);
	if (r == 0)
		r = init_watch(s, err);
	if (r < 0) {
		shale_lean_free(s->lean);
		shale_receivers_release(&s->receivers);
	}
	return r;
}

int shale_session_new(struct shale_session **out,
		      const struct shale_session_opts *opts,
		      struct shale_err *err)
{
	static char name[] = "shale";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	const struct fuse_custom_io io = {.writev = send_reply,
					  .read = receive};

	struct shale_session *s = calloc(1, sizeof(*s));
	if (!s)
		return shale_err_set(err, ENOMEM, "serve a mount");
	s->opts = *opts;
	int r = init_session(s, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->fuse = fuse_session_new(&args,
				   opts->live ? &shale_rw_ops : &shale_ro_ops,
				   sizeof(struct fuse_lowlevel_ops), s);
	fuse_opt_free_args(&args);
	if (!s->fuse || fuse_session_custom_io(s->fuse, &io, opts->fd) != 0) {
		shale_session_free(s);
		return shale_err_say(err, EIO, "libfuse refuses the session");
	}
	*out = s;
	return 0;
}

void shale_session_free(struct shale_session *s)
{
	if (!s)
		return;
	if (s->fuse)
		fuse_session_destroy(s->fuse);
	release_watch(s);
	shale_lean_free(s->lean);
	shale_receivers_release(&s->receivers);
	free(s);
}

/* Let libfuse answer the INIT that a receiver holds. */
static int answer_init(struct shale_receiver *r, struct shale_err *err)
{
	struct shale_session *s = r->session;

	s->said = err;
	if (shale_raw_see_init(s, r)) {
		shale_receivers_set_own(&s->receivers, r);
		process(r);
		shale_receivers_set_own(&s->receivers, NULL);
		s->greeted = true;
	}
	s->said = NULL;
	/* Without it everybody who comes would wait for ever. */
	if (s->unsent < 0)
		return s->unsent;
	if (!s->greeted || fuse_session_exited(s->fuse))
		return shale_err_say(err, EPROTO,
				     "the kernel and libfuse do not agree");
	return 0;
}

int shale_session_start(struct shale_session *s, struct shale_err *err)
{
	struct shale_receiver r;
	int n;

	if (shale_receiver_init(&r, s, s->opts.fd, SHALE_FUSE_GREETING) < 0)
		return shale_err_set(err, ENOMEM, "serve a mount");
	while ((n = shale_receiver_read(&r)) == 0)
		;
	if (n == -ENODEV)
		n = shale_err_say(err, ENODEV,
				  "it was unmounted before it was ready");
	else if (n < 0)
		n = shale_err_set(err, -n, "read the kernel's greeting");
	else if (shale_buf_append(&s->opts.greeting->request, r.in, r.len) < 0)
		n = shale_err_set(err, ENOMEM, "serve a mount");
	else
		n = answer_init(&r, err);
	shale_receiver_release(&r);
	return n;
}

int shale_session_resume(struct shale_session *s, struct shale_err *err)
{
	const struct shale_buf *request = &s->opts.greeting->request;
	struct shale_receiver receiver;

	if (!request->len || request->len > SHALE_FUSE_GREETING)
		return shale_err_say(err, EUCLEAN, "'greeting' is damaged");
	if (shale_receiver_init(&receiver, s, s->opts.fd, SHALE_FUSE_GREETING) <
	    0)
		return shale_err_set(err, ENOMEM, "serve a mount");
	memcpy(receiver.in, request->data, request->len);
	receiver.len = request->len;
	s->replaying = true;
	int r = answer_init(&receiver, err);
	s->replaying = false;
	shale_receiver_release(&receiver);
	if (r == 0 && s->differs)
		r = shale_err_say(err, EPROTO,
				  "this version would serve the connection in "
				  "another way; unmount and mount again");
	if (r < 0)
		return r;
	r = shale_raw_resend(s->opts.fd);
	return r < 0 ? shale_err_set(err, r == -EINVAL ? EOPNOTSUPP : -r,
				     "have requests sent again")
		     : 0;
}

/* The kernel keeps content that nobody asked for. */
static int store(void *arg, uint64_t ino, uint64_t off, const void *data,
		 size_t len)
{
	const struct shale_session *s = arg;
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(len);

	buf.buf[0].mem = (void *)data;
	return fuse_lowlevel_notify_store(s->fuse, ino, (off_t)off, &buf,
					  FUSE_BUF_NO_SPLICE);
}

static void forget_listing(void *arg, uint64_t dir)
{
	shale_session_forget_inode(arg, dir);
}

int shale_session_lend(void *arg, int fd, uint32_t *id)
{
	const struct shale_session *s = arg;

	if (!shale_raw_offers_passthrough(s))
		return -EOPNOTSUPP;
	return shale_raw_backing_open(s->opts.fd, fd, id);
}

void shale_session_take_back(void *arg, uint32_t id)
{
	const struct shale_session *s = arg;

	shale_raw_backing_close(s->opts.fd, id);
}

void shale_session_lent_changed(void *arg, uint64_t ino)
{
	shale_session_forget_attr(arg, ino);
}

int shale_session_run(struct shale_session *s, struct shale_err *err)
{
	unsigned n = s->opts.threads ? s->opts.threads : (unsigned)get_nprocs();
	const struct shale_receivers_opts opts = {
		.session = s,
		.fd = s->opts.fd,
		.n = n,
		.waiting = s->opts.live || s->opts.slow_lookups ? WAITERS : 0,
		.size = SHALE_FUSE_BUF,
	};

	if (s->opts.forest)
		shale_forest_push_to(s->opts.forest, store, s);
	shale_lean_to(s->lean, forget_listing, s);
	int r = shale_receivers_run(&s->receivers, &opts, err);
	shale_lean_to(s->lean, NULL, NULL);
	if (s->opts.forest)
		shale_forest_push_to(s->opts.forest, NULL, NULL);
	return r;
}

void shale_session_forget_name(struct shale_session *s, uint64_t dir,
			       const char *name, size_t len)
{
	char text[256];

	if (len >= sizeof(text))
		return;
	memcpy(text, name, len);
	text[len] = '\0';
	/* What the kernel does not know it need not forget. */
	(void)fuse_lowlevel_notify_inval_entry(s->fuse, dir, text, len);
}

void shale_session_forget_inode(struct shale_session *s, uint64_t ino)
{
	(void)fuse_lowlevel_notify_inval_inode(s->fuse, ino, 0, 0);
}

void shale_session_forget_attr(struct shale_session *s, uint64_t ino)
{
	(void)fuse_lowlevel_notify_inval_inode(s->fuse, ino, -1, 0);
}
