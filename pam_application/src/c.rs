//! What libpam's headers declare, as far as an application needs it.

use std::ffi::{c_char, c_int, c_void};

#[repr(C)]
pub(super) struct PamHandle {
    _opaque: [u8; 0],
}

#[repr(C)]
pub(super) struct PamMessage {
    pub(super) style: c_int,
    pub(super) text: *const c_char,
}

#[repr(C)]
pub(super) struct PamResponse {
    pub(super) text: *mut c_char,
    pub(super) code: c_int,
}

#[repr(C)]
pub(super) struct PamConv {
    pub(super) converse: Option<
        extern "C" fn(c_int, *mut *const PamMessage, *mut *mut PamResponse, *mut c_void) -> c_int,
    >,
    pub(super) data: *mut c_void,
}

#[link(name = "pam")]
unsafe extern "C" {
    pub(super) fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const PamConv,
        handle: *mut *mut PamHandle,
    ) -> c_int;
    pub(super) fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const PamConv,
        confdir: *const c_char,
        handle: *mut *mut PamHandle,
    ) -> c_int;
    pub(super) fn pam_end(handle: *mut PamHandle, status: c_int) -> c_int;
    pub(super) fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    pub(super) fn pam_strerror(handle: *mut PamHandle, code: c_int) -> *const c_char;
    pub(super) fn pam_authenticate(handle: *mut PamHandle, flags: c_int) -> c_int;
    pub(super) fn pam_setcred(handle: *mut PamHandle, flags: c_int) -> c_int;
    pub(super) fn pam_acct_mgmt(handle: *mut PamHandle, flags: c_int) -> c_int;
    pub(super) fn pam_open_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    pub(super) fn pam_close_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    pub(super) fn pam_chauthtok(handle: *mut PamHandle, flags: c_int) -> c_int;
    pub(super) fn calloc(count: usize, size: usize) -> *mut c_void;
    pub(super) fn free(memory: *mut c_void);
}
