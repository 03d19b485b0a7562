"""The keyrings of mpl-peer.py whose keys are asymmetric ones of AWS KMS: "keyId" is an ARN, public keys are DER in base64 or PEM."""
import base64

import boto3
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsEcdhKeyringInput,
    CreateAwsKmsRsaKeyringInput,
    KmsEcdhStaticConfigurationsKmsPrivateKeyToStaticPublicKey,
    KmsEcdhStaticConfigurationsKmsPublicKeyDiscovery,
    KmsPrivateKeyToStaticPublicKeyInput,
    KmsPublicKeyDiscoveryInput,
)


def client_of(key_arn):
    return boto3.client("kms", region_name=key_arn.split(":")[3])


def optional_key(key, name):
    return base64.b64decode(key[name]) if name in key else None


ECDH_SCHEMES = {
    "discovery": lambda key: KmsEcdhStaticConfigurationsKmsPublicKeyDiscovery(
        KmsPublicKeyDiscoveryInput(recipient_kms_identifier=key["keyId"])
    ),
    "static": lambda key: KmsEcdhStaticConfigurationsKmsPrivateKeyToStaticPublicKey(
        KmsPrivateKeyToStaticPublicKeyInput(
            sender_kms_identifier=key["keyId"],
            sender_public_key=optional_key(key, "senderPublicKey"),
            recipient_public_key=base64.b64decode(key["recipientPublicKey"]),
        )
    ),
}


def kms_asymmetric_keyrings(mpl):
    return {
        "kms-ecdh": lambda key: mpl.create_aws_kms_ecdh_keyring(
            CreateAwsKmsEcdhKeyringInput(
                curve_spec=key["curveSpec"],
                key_agreement_scheme=ECDH_SCHEMES[key["schema"]](key),
                kms_client=client_of(key["keyId"]),
            )
        ),
        "kms-rsa": lambda key: mpl.create_aws_kms_rsa_keyring(
            CreateAwsKmsRsaKeyringInput(
                kms_key_id=key["keyId"],
                encryption_algorithm=key["encryptionAlgorithm"],
                public_key=key["publicKey"].encode("ascii"),
                kms_client=client_of(key["keyId"]),
            )
        ),
    }
