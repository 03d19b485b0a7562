/** The numbers of PKCS #11 version 2.40 that are used here, by their names there. */

export const CKF_SERIAL_SESSION = 4
export const CKF_OS_LOCKING_OK = 2
export const CKU_USER = 1
export const CKS_RO_USER_FUNCTIONS = 1
export const CKS_RW_USER_FUNCTIONS = 3

export const CKO_PUBLIC_KEY = 2
export const CKO_PRIVATE_KEY = 3
export const CKO_SECRET_KEY = 4
export const CKK_RSA = 0
export const CKK_AES = 0x1f

export const CKA_CLASS = 0
export const CKA_LABEL = 3
export const CKA_KEY_TYPE = 0x100
export const CKA_ID = 0x102
export const CKA_ENCRYPT = 0x104
export const CKA_MODULUS = 0x120
export const CKA_PUBLIC_EXPONENT = 0x122

export const CKM_RSA_PKCS = 1
export const CKM_RSA_PKCS_OAEP = 9
export const CKM_SHA_1 = 0x220
export const CKM_SHA256 = 0x250
export const CKM_SHA384 = 0x260
export const CKM_SHA512 = 0x270
export const CKM_AES_GCM = 0x1087
export const CKG_MGF1_SHA1 = 1
export const CKG_MGF1_SHA256 = 2
export const CKG_MGF1_SHA384 = 3
export const CKG_MGF1_SHA512 = 4
export const CKZ_DATA_SPECIFIED = 1

/** How pkcs11js tells the parameters of mechanisms apart: its own numbers, not the standard's. */
export const CK_PARAMS_RSA_OAEP = 4
export const CK_PARAMS_AES_GCM_v240 = 7
