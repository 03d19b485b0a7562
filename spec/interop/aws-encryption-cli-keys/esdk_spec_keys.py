"""Raw keys for aws-encryption-cli, which knows those of AWS KMS alone: a provider of master keys, found by its entry point.

    --wrapping-keys provider=esdk-spec-raw key=NAME namespace=NAMESPACE algorithm=WRAPPING_ALGORITHM file=PATH
"""
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider


def raw_keys(namespace, algorithm, file, **_):
    wrapping_algorithm = WrappingAlgorithm[algorithm[0]]
    is_rsa = algorithm[0].startswith("RSA")
    with open(file[0], "rb") as key_file:
        material = key_file.read()

    class RawKeys(RawMasterKeyProvider):
        provider_id = namespace[0]

        def _get_raw_key(self, key_id):
            return WrappingKey(
                wrapping_algorithm=wrapping_algorithm,
                wrapping_key=material,
                wrapping_key_type=EncryptionKeyType.PRIVATE if is_rsa else EncryptionKeyType.SYMMETRIC,
            )

    return RawKeys()
