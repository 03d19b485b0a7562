"""The AWS Encryption SDK for Python over the AWS Cryptographic Material Providers Library (MPL): one JSON request a line
on stdin, one JSON answer a line on stdout.

Request:  {"id", "operation": a name in OPERATIONS, and what that operation takes}
  encrypt:  {"suite", "keyring", "data": base64, "frameLength", "encryptionContext", "requiredEncryptionContextKeys"}
  decrypt:  {"suite", "keyring", "data": base64, "encryptionContext": what the reader reproduces,
             "requiredEncryptionContextKeys"}
  createKeyStore, createKey, versionKey, getActiveBranchKey, getBranchKeyVersion, getBeaconKey:
            {"keyStore", and of "branchKeyId", "branchKeyVersion", "encryptionContext" what it takes}
keyring:  {"type": a name in KEYRINGS, and what that keyring takes}; keys are base64 or PEM
keyStore: {"tableName", "logicalKeyStoreName", "kmsConfiguration": "discovery" or an object with one of kmsKeyArn,
          kmsMRKeyArn and mrDiscovery}
Answer:   {"id", and of "data": base64, "encryptionContext": {...}, "branchKeyId", "branchKeyVersion" what it gives}
          or {"id", "error": text}

Keyrings that need AWS take their endpoint and credentials from the environment, as boto3 does (AWS_ENDPOINT_URL).
"""
import base64
import json

import aws_encryption_sdk
from aws_cryptographic_material_providers.keystore import KeyStore
from aws_cryptographic_material_providers.keystore.config import KeyStoreConfig
from aws_cryptographic_material_providers.keystore.models import (
    CreateKeyInput,
    CreateKeyStoreInput,
    Discovery,
    GetActiveBranchKeyInput,
    GetBeaconKeyInput,
    GetBranchKeyVersionInput,
    KMSConfigurationDiscovery,
    KMSConfigurationKmsKeyArn,
    KMSConfigurationKmsMRKeyArn,
    KMSConfigurationMrDiscovery,
    MRDiscovery,
    VersionKeyInput,
)
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsHierarchicalKeyringInput,
    CreateDefaultCryptographicMaterialsManagerInput,
    CreateMultiKeyringInput,
    CreateRawAesKeyringInput,
    CreateRawEcdhKeyringInput,
    CreateRawRsaKeyringInput,
    CreateRequiredEncryptionContextCMMInput,
    EphemeralPrivateKeyToStaticPublicKeyInput,
    PublicKeyDiscoveryInput,
    RawEcdhStaticConfigurationsEphemeralPrivateKeyToStaticPublicKey,
    RawEcdhStaticConfigurationsPublicKeyDiscovery,
    RawEcdhStaticConfigurationsRawPrivateKeyToStaticPublicKey,
    RawPrivateKeyToStaticPublicKeyInput,
)
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy
from json_lines import serve
from kms_asymmetric_keyrings import kms_asymmetric_keyrings
from kms_keyrings import kms_keyrings

MPL = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
CLIENTS = {
    policy: aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    for policy in (
        CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    )
}


def raw_aes(key):
    wrapping_key = base64.b64decode(key["wrappingKey"])
    return MPL.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace=key["keyNamespace"],
            key_name=key["keyName"],
            wrapping_key=wrapping_key,
            wrapping_alg="ALG_AES{}_GCM_IV12_TAG16".format(len(wrapping_key) * 8),
        )
    )


def raw_rsa(key):
    return MPL.create_raw_rsa_keyring(
        CreateRawRsaKeyringInput(
            key_namespace=key["keyNamespace"],
            key_name=key["keyName"],
            padding_scheme=key["paddingScheme"],
            public_key=key["publicKey"].encode("ascii"),
            private_key=key["privateKey"].encode("ascii"),
        )
    )


def raw_ecdh(key):
    return MPL.create_raw_ecdh_keyring(
        CreateRawEcdhKeyringInput(
            curve_spec=key["curveSpec"],
            key_agreement_scheme=ECDH_SCHEMES[key["schema"]](key),
        )
    )


ECDH_SCHEMES = {
    "ephemeral": lambda key: RawEcdhStaticConfigurationsEphemeralPrivateKeyToStaticPublicKey(
        EphemeralPrivateKeyToStaticPublicKeyInput(recipient_public_key=base64.b64decode(key["recipientPublicKey"]))
    ),
    "discovery": lambda key: RawEcdhStaticConfigurationsPublicKeyDiscovery(
        PublicKeyDiscoveryInput(recipient_static_private_key=key["recipientPrivateKey"].encode("ascii"))
    ),
    "static": lambda key: RawEcdhStaticConfigurationsRawPrivateKeyToStaticPublicKey(
        RawPrivateKeyToStaticPublicKeyInput(
            sender_static_private_key=key["senderPrivateKey"].encode("ascii"),
            recipient_public_key=base64.b64decode(key["recipientPublicKey"]),
        )
    ),
}


def multi(key):
    generator = key.get("generator")
    return MPL.create_multi_keyring(
        CreateMultiKeyringInput(
            generator=None if generator is None else keyring_of(generator),
            child_keyrings=[keyring_of(child) for child in key["children"]],
        )
    )


def hierarchical(key):
    return MPL.create_aws_kms_hierarchical_keyring(
        CreateAwsKmsHierarchicalKeyringInput(
            key_store=key_store_of(key["keyStore"]), branch_key_id=key["branchKeyId"], ttl_seconds=600
        )
    )


# A keyring of another kind needs only its line here.
KEYRINGS = {
    "raw-aes": raw_aes,
    "raw-rsa": raw_rsa,
    "raw-ecdh": raw_ecdh,
    "multi": multi,
    "hierarchical": hierarchical,
}
KNOWN_KEYRINGS = {}
KEYRINGS.update(kms_keyrings(MPL))
KEYRINGS.update(kms_asymmetric_keyrings(MPL))


def keyring_of(key):
    """Making a keyring takes longer than many messages, so that each is kept."""
    name = json.dumps(key, sort_keys=True)
    if name not in KNOWN_KEYRINGS:
        KNOWN_KEYRINGS[name] = KEYRINGS[key["type"]](key)
    return KNOWN_KEYRINGS[name]


def materials_manager(request):
    cmm = MPL.create_default_cryptographic_materials_manager(
        CreateDefaultCryptographicMaterialsManagerInput(keyring=keyring_of(request["keyring"]))
    )
    names = request["requiredEncryptionContextKeys"]
    if not names:
        return cmm
    return MPL.create_required_encryption_context_cmm(
        CreateRequiredEncryptionContextCMMInput(underlying_cmm=cmm, required_encryption_context_keys=names)
    )


def client_of(suite):
    return CLIENTS[
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        if suite.is_committing()
        else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    ]


def message(result, header):
    return {"data": base64.b64encode(result).decode("ascii"), "encryptionContext": dict(header.encryption_context)}


def encrypt(request):
    suite = AlgorithmSuite.get_by_id(request["suite"])
    return message(
        *client_of(suite).encrypt(
            source=base64.b64decode(request["data"]),
            materials_manager=materials_manager(request),
            algorithm=suite,
            frame_length=request["frameLength"],
            encryption_context=request["encryptionContext"],
        )
    )


def decrypt(request):
    return message(
        *client_of(AlgorithmSuite.get_by_id(request["suite"])).decrypt(
            source=base64.b64decode(request["data"]),
            materials_manager=materials_manager(request),
            encryption_context=request["encryptionContext"],
        )
    )


KMS_CONFIGURATIONS = {
    "kmsKeyArn": KMSConfigurationKmsKeyArn,
    "kmsMRKeyArn": KMSConfigurationKmsMRKeyArn,
    "mrDiscovery": lambda value: KMSConfigurationMrDiscovery(MRDiscovery(region=value["region"])),
}


def kms_configuration_of(configuration):
    if configuration == "discovery":
        return KMSConfigurationDiscovery(Discovery())
    [(name, value)] = configuration.items()
    return KMS_CONFIGURATIONS[name](value)


def key_store_of(store):
    return KeyStore(
        KeyStoreConfig(
            ddb_table_name=store["tableName"],
            logical_key_store_name=store["logicalKeyStoreName"],
            kms_configuration=kms_configuration_of(store["kmsConfiguration"]),
        )
    )


def create_key_store(request):
    key_store_of(request["keyStore"]).create_key_store(CreateKeyStoreInput())
    return {}


def create_key(request):
    output = key_store_of(request["keyStore"]).create_key(
        CreateKeyInput(
            branch_key_identifier=request.get("branchKeyId"), encryption_context=request.get("encryptionContext")
        )
    )
    return {"branchKeyId": output.branch_key_identifier}


def version_key(request):
    key_store_of(request["keyStore"]).version_key(VersionKeyInput(branch_key_identifier=request["branchKeyId"]))
    return {}


def branch_key(materials):
    return {
        "branchKeyId": materials.branch_key_identifier,
        "branchKeyVersion": materials.branch_key_version,
        "data": base64.b64encode(bytes(materials.branch_key)).decode("ascii"),
        "encryptionContext": dict(materials.encryption_context),
    }


def get_active_branch_key(request):
    output = key_store_of(request["keyStore"]).get_active_branch_key(
        GetActiveBranchKeyInput(branch_key_identifier=request["branchKeyId"])
    )
    return branch_key(output.branch_key_materials)


def get_branch_key_version(request):
    output = key_store_of(request["keyStore"]).get_branch_key_version(
        GetBranchKeyVersionInput(
            branch_key_identifier=request["branchKeyId"], branch_key_version=request["branchKeyVersion"]
        )
    )
    return branch_key(output.branch_key_materials)


def get_beacon_key(request):
    output = key_store_of(request["keyStore"]).get_beacon_key(
        GetBeaconKeyInput(branch_key_identifier=request["branchKeyId"])
    )
    materials = output.beacon_key_materials
    return {
        "branchKeyId": materials.beacon_key_identifier,
        "data": base64.b64encode(bytes(materials.beacon_key)).decode("ascii"),
        "encryptionContext": dict(materials.encryption_context),
    }


# So does another operation.
OPERATIONS = {
    "encrypt": encrypt,
    "decrypt": decrypt,
    "createKeyStore": create_key_store,
    "createKey": create_key,
    "versionKey": version_key,
    "getActiveBranchKey": get_active_branch_key,
    "getBranchKeyVersion": get_branch_key_version,
    "getBeaconKey": get_beacon_key,
}


serve(lambda request: OPERATIONS[request["operation"]](request))
